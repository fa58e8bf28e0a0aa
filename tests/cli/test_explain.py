"""`explain`, in this process."""

import json

from cli.conftest import Command
from support.served_api import ServedApi

from downloadd.config import RuleConfig


async def test_the_decisions_are_listed(api: ServedApi, command: Command) -> None:
    api.rules.append(RuleConfig(name="images", extensions=("iso",), save_to="images", speed_limit=2048))
    output = (await command("explain", "--dir", "inbox", "https://a.example/x.iso")).output
    lines = {line.partition("  ")[0].strip(): line.partition("  ")[2].strip() for line in output.splitlines()}
    assert (lines["accepted"], lines["rule"], lines["file"]) == ("yes", "images", "images/x.iso")
    assert "2.00 KiB/s" in lines["speed limit"]


async def test_a_refusal_is_shown_with_its_reason(api: ServedApi, command: Command) -> None:
    result = await command("explain", "https://a.example/x", "--name", "a/b")
    assert result.exit_code == 0
    assert "no: INVALID_PATH" in result.output


async def test_the_answer_can_be_read_by_programs(api: ServedApi, command: Command) -> None:
    found = json.loads((await command("explain", "--json", "--segments", "3", "https://a.example/x")).output)
    assert (found["allowed"], found["segments"]) == (True, 3)
