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


async def test_rules_that_need_the_answer_of_the_origin_are_listed(api: ServedApi, command: Command) -> None:
    api.rules.append(
        RuleConfig(
            name="films", types=("video/*", "audio/*"), min_size=1024, save_to="films", priority=3, max_retries=2
        )
    )
    output = " ".join((await command("explain", "https://a.example/x.mkv")).output.split())
    assert "rule none, unless its answer meets a condition" in output
    conditions = "if films video/* or audio/*, at least 1.00 KiB"
    assert f"{conditions}: films/x.mkv; priority 3; 2 retries; if it exists: rename" in output


async def test_a_refusal_is_shown_with_its_reason(api: ServedApi, command: Command) -> None:
    result = await command("explain", "https://a.example/x", "--name", "a/b")
    assert result.exit_code == 0
    assert "no: INVALID_PATH" in result.output


async def test_the_answer_can_be_read_by_programs(api: ServedApi, command: Command) -> None:
    found = json.loads((await command("explain", "--json", "--segments", "3", "https://a.example/x")).output)
    assert (found["allowed"], found["segments"]) == (True, 3)
