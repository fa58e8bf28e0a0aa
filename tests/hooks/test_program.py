"""Real programs: `sh` on real pipes."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest
from support.deliveries import make_delivery
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.config import HookConfig
from downloadd.hooks import program as program_module
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.program import MAX_OUTPUT_BYTES, ProgramRunner, environment_variables
from downloadd.hooks.rules import Message


def shell_hook(script: str, timeout: float = 10) -> HookConfig:
    return HookConfig(name="chat", command=("sh", "-c", script), timeout=timeout)


async def run(script: str, *, environment: dict[str, str] | None = None, tries: int = 0) -> Delivered | DeliveryFailed:
    runner = ProgramRunner({"PATH": os.environ["PATH"], **(environment or {})}, "/srv")
    return await runner.run(shell_hook(script), make_delivery(tries=tries))


@pytest.fixture
def patient_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the end of the output on a machine with other load too."""
    monkeypatch.setattr(program_module, "OUTPUT_TIMEOUT_SECONDS", CONDITION_TIMEOUT)


async def test_exit_status_0_is_success() -> None:
    assert await run("exit 0") == Delivered(answer="exit status 0")


@pytest.mark.usefixtures("patient_reader")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "exit status 3"),
        ("echo one; echo two >&2; exit 3", "exit status 3: one\ntwo"),
        ("kill -9 $$", "killed by signal 9"),
    ],
)
async def test_every_other_end_is_a_failure_with_the_output(script: str, reason: str) -> None:
    assert await run(script) == DeliveryFailed(reason=reason)


@pytest.mark.usefixtures("patient_reader")
async def test_only_the_end_of_a_long_output_is_kept() -> None:
    outcome = await run(f"head -c 100000 /dev/zero | tr '\\0' x; printf end; exit 1; : {MAX_OUTPUT_BYTES}")
    assert isinstance(outcome, DeliveryFailed)
    text = outcome.reason.removeprefix("exit status 1: ")
    assert len(text) == MAX_OUTPUT_BYTES
    assert text.endswith("xend")


async def test_a_program_that_does_not_exist_is_a_failure() -> None:
    outcome = await ProgramRunner({}, "/srv").run(HookConfig(name="chat", command=("/no/such/true",)), make_delivery())
    assert outcome == DeliveryFailed(reason="the program cannot be started: No such file or directory")


async def test_the_message_is_the_input(tmp_path: Path) -> None:
    delivery = make_delivery()
    runner = ProgramRunner({"PATH": os.environ["PATH"]}, "/srv")
    assert isinstance(await runner.run(shell_hook(f"cat > {tmp_path}/message"), delivery), Delivered)
    assert (tmp_path / "message").read_bytes() == delivery.body


async def test_a_program_may_ignore_its_input() -> None:
    delivery = msgspec.structs.replace(make_delivery(), body=make_delivery().body + b" " * 1_000_000)
    runner = ProgramRunner({"PATH": os.environ["PATH"]}, "/srv")
    assert isinstance(await runner.run(shell_hook("exec <&-; exit 0"), delivery), Delivered)


async def test_the_environment_has_the_facts_and_no_setting_of_the_daemon(tmp_path: Path) -> None:
    environment = {"DOWNLOADD_SERVER__PORT": "1", "LANG": "C"}
    assert isinstance(
        await run(f"env > {tmp_path}/env; pwd > {tmp_path}/pwd", environment=environment, tries=2), Delivered
    )
    variables = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert variables["HOOK_FILE"] == "/srv/Downloads/data.csv"
    assert (variables["HOOK_TRY"], variables["HOOK_STATUS"], variables["LANG"]) == ("3", "completed", "C")
    assert not [name for name in variables if name.startswith("DOWNLOADD_")]
    assert (tmp_path / "pwd").read_text() == "/\n"


async def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    runner = ProgramRunner({"PATH": os.environ["PATH"]}, "/srv")
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    # On a machine with other load, the shell may not have started its child in the first time.
    for timeout in (0.5, 5, 30):
        outcome = await runner.run(msgspec.structs.replace(shell_hook(script), timeout=timeout), make_delivery())
        assert outcome == DeliveryFailed(reason=f"the program was killed after {timeout} s")
        if (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"):
            break
    child = int((tmp_path / "child").read_text())
    await wait_until(lambda: has_ended(child))


async def test_a_child_in_the_background_does_not_delay_the_outcome(tmp_path: Path) -> None:
    assert await run(f"sleep 60 & echo $! > {tmp_path}/child") == Delivered(answer="exit status 0")
    os.kill(int((tmp_path / "child").read_text()), 9)


def has_ended(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_a_variable_without_a_value_is_empty_and_none_holds_nul() -> None:
    message = msgspec.json.decode(make_delivery().body, type=Message)
    entry = msgspec.structs.replace(
        message.data, status="failed", filename="a\0b", error=None, checksum=None, warning="w"
    )
    variables = environment_variables(msgspec.structs.replace(message, data=entry), "/srv", 1)
    assert (variables["HOOK_FILE"], variables["HOOK_ERROR"], variables["HOOK_CHECKSUM"]) == ("", "", "")
    assert variables["HOOK_FILENAME"] == "a\N{REPLACEMENT CHARACTER}b"
    assert (variables["HOOK_DETAIL"], variables["HOOK_WARNING"]) == ("", "w")


async def test_cancelling_kills_the_program(tmp_path: Path) -> None:
    task = asyncio.create_task(run(f"echo $$ > {tmp_path}/pid; exec sleep 60"))
    pid = int(await wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert has_ended(pid)
