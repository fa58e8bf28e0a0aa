"""Hooks: each end is delivered at least once, across kills, and delays no download."""

import base64
import hashlib
import hmac
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.ports import free_port
from support.waiting import wait_until
from support.webhook_receiver import KEY, WebhookReceiver, filter_events, hook_table, webhook_table

ALL = ["completed", "failed", "cancelled", "skipped"]


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver() as receiver:
        yield receiver


def signature(key: str, id: str, timestamp: str, body: bytes) -> str:
    """Return the signature as defined by the Standard Webhooks specification."""
    secret = base64.b64decode(key.removeprefix("whsec_"))
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


async def test_every_final_state_sends_a_signed_message_with_the_history_entry(
    tmp_path: Path, origin: Origin, receiver: WebhookReceiver
) -> None:
    origin.script("/a", ScriptedResponse(size=1000))
    origin.script("/slow", ScriptedResponse(size=1000, stall_after=10))
    async with DaemonProcess(tmp_path, config=DEFAULT_CONFIG + webhook_table(receiver, events=ALL)) as daemon:
        _, done = await daemon.fetch("d", origin.url("/a"))
        _, missing = await daemon.fetch("d", origin.url("/missing"))
        _, refused = await daemon.fetch("d", "nonsense")
        _, skipped = await daemon.fetch("d", origin.url("/a"), filename="a", conflict="skip")
        slow = await daemon.start_download("d", origin.url("/slow"))
        await origin.wait_requested("/slow")
        await daemon.control(slow["download_id"], "cancel")
        queued = [done, missing, refused, skipped, slow]
        await wait_until(lambda: len(receiver.received) >= len(queued))
        received = {message["data"]["id"]: message for message in receiver.messages}
        for entry, outcome in zip(queued, ("completed", "failed", "failed", "skipped", "cancelled"), strict=True):
            message = received[entry["download_id"]]
            assert message["type"] == f"download.{outcome}"
            assert message["data"] == await daemon.get_download(entry["download_id"])
            assert message["id"].startswith(entry["download_id"])
        for fields, body in receiver.received:
            id, timestamp = fields["webhook-id"], fields["webhook-timestamp"]
            assert id == json.loads(body)["id"]
            assert abs(int(timestamp) - time.time()) < 20
            assert fields["webhook-signature"] == signature(KEY, id, timestamp, body)
            assert fields["Content-Type"] == "application/json"
        # No delivery is pending, and no message was delivered twice.
        await wait_until(lambda: len(filter_events(daemon.log_lines(), "hook_delivered")) == len(queued))
        assert len(receiver.received) == len(queued)
        log = daemon.log.read_text()
        assert "s3cret" not in log
        assert KEY not in log
        assert "Traceback" not in log


async def test_a_hook_receives_only_its_events_and_directories(
    tmp_path: Path, origin: Origin, receiver: WebhookReceiver
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    config = DEFAULT_CONFIG + webhook_table(receiver, directory="team/*", events=["completed"])
    async with (
        WebhookReceiver() as other,
        DaemonProcess(tmp_path, config=config + webhook_table(other, "all")) as daemon,
    ):
        for directory in ("team", "d", "team/a", "team/a/b", "teams/a"):
            await daemon.fetch(directory, origin.url("/f"))
        await daemon.fetch("team/a", origin.url("/missing"))
        await wait_until(lambda: len(other.received) == 6)
        await wait_until(lambda: len(receiver.received) == 2)
        # The order of messages is not promised.
        assert {message["data"]["directory"] for message in receiver.messages} == {"team/a", "team/a/b"}


async def test_a_message_not_delivered_before_a_kill_is_delivered_after_the_restart(
    tmp_path: Path, origin: Origin
) -> None:
    """Stop the receiver while downloads end, kill the daemon, and start both again."""
    origin.script("/a", ScriptedResponse(size=10))
    port = free_port()
    daemon = DaemonProcess(tmp_path, config=DEFAULT_CONFIG + webhook_table(WebhookReceiver(port=port)))
    async with daemon:
        ids = [(await daemon.fetch("d", origin.url("/a")))[1]["download_id"] for _ in range(10)]
        await daemon.kill()
        async with WebhookReceiver(port=port) as receiver:
            await daemon.start()
            await wait_until(lambda: {message["data"]["id"] for message in receiver.messages} == set(ids))
            assert {json.loads(body)["id"] for _, body in receiver.received} == {
                fields["webhook-id"] for fields, _ in receiver.received
            }


async def test_kills_at_any_moment_lose_no_message(tmp_path: Path, origin: Origin, receiver: WebhookReceiver) -> None:
    """Kill the daemon repeatedly; each finished download of the history must be delivered."""
    origin.script("/a", ScriptedResponse(size=10))
    daemon = DaemonProcess(tmp_path, config=DEFAULT_CONFIG + webhook_table(receiver))
    ids: list[str] = []
    async with daemon:
        for turn in range(3):
            body = {"downloads": [{"url": origin.url("/a"), "directory": "d"} for _ in range(20)]}
            ids += [
                each["download_id"]
                for each in (await daemon.request("POST", "/api/v1/downloads", json=body))[1]["downloads"]
            ]
            count = len(receiver.received)
            await wait_until(lambda count=count, turn=turn: len(receiver.received) > count + 2 * turn)
            await daemon.kill()
            await daemon.start()
        await wait_until(lambda: {message["data"]["id"] for message in receiver.messages} == set(ids))
        # Duplicates have the same id, by which a receiver drops them.
        assert len({message["id"] for message in receiver.messages}) == len(ids)


async def test_a_failed_delivery_is_retried_at_the_latest_at_a_reload(tmp_path: Path, origin: Origin) -> None:
    async with WebhookReceiver(503, 302, 200, headers={"Location": "/elsewhere"}) as receiver:
        config = DEFAULT_CONFIG + webhook_table(receiver)
        async with DaemonProcess(tmp_path, config=config) as daemon:
            _, entry = await daemon.fetch("d", origin.url("/missing"))
            for number in (1, 2):
                await wait_until(lambda number=number: len(filter_events(daemon.log_lines(), "hook_failed")) == number)
                await wait_until(lambda: metric(daemon, 'downloadd_hook_messages_waiting{hook="chat"} 1.0'))
                await daemon.reload(config)
            (delivered,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_delivered"))
            assert (delivered["hook_try"], delivered["download_id"], delivered["hook"]) == (
                3,
                entry["download_id"],
                "chat",
            )
            first, second = filter_events(daemon.log_lines(), "hook_failed")
            assert first["reason"] == "the answer was 503"
            assert 2.5 <= first["retry_in"] <= 5
            assert second["reason"] == "the answer was 302, and redirects are not followed"
            assert 5 <= second["retry_in"] <= 10
            assert len({fields["webhook-id"] for fields, _ in receiver.received}) == 1
            assert len(receiver.received) == 3


async def test_a_receiver_that_answers_410_gets_no_further_messages(tmp_path: Path, origin: Origin) -> None:
    async with WebhookReceiver(410) as receiver:
        config = DEFAULT_CONFIG + webhook_table(receiver)
        async with DaemonProcess(tmp_path, config=config) as daemon:
            await daemon.fetch("d", origin.url("/missing"))
            (line,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_aborted"))
            assert line["reason"] == "the answer was 410"
            await wait_until(lambda: metric(daemon, 'downloadd_hook_attempts_total{hook="chat",outcome="aborted"} 1.0'))
            await wait_until(lambda: metric(daemon, 'downloadd_hook_messages_waiting{hook="chat"} 0.0'))


async def test_a_receiver_that_hangs_delays_no_download_and_no_other_hook(
    tmp_path: Path, origin: Origin, receiver: WebhookReceiver
) -> None:
    origin.script("/a", ScriptedResponse(size=10))
    async with WebhookReceiver(0) as hanging:
        config = DEFAULT_CONFIG + webhook_table(hanging, "hanging", timeout=60) + webhook_table(receiver)
        async with DaemonProcess(tmp_path, config=config) as daemon:
            ids = [(await daemon.fetch("d", origin.url("/a")))[1]["download_id"] for _ in range(12)]
            await wait_until(lambda: len(receiver.received) == len(ids))
            # Few deliveries run at a time; the others wait in the records.
            await wait_until(lambda: len(hanging.received) == 4)
            await wait_until(lambda: metric(daemon, 'downloadd_hook_messages_waiting{hook="hanging"} 12.0'))
            watch = daemon.stopwatch()
            assert await daemon.stop() == 0
            assert watch.seconds < 8
            assert len(hanging.received) == 4


async def test_a_delivery_without_a_response_in_time_has_failed(tmp_path: Path, origin: Origin) -> None:
    async with WebhookReceiver(0) as hanging:
        config = DEFAULT_CONFIG + webhook_table(hanging, timeout=1)
        async with DaemonProcess(tmp_path, config=config) as daemon:
            await daemon.fetch("d", origin.url("/missing"))
            (line,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_failed"))
            assert line["reason"] == "no answer within 1 s"


async def test_a_reload_adds_hooks_and_removes_hooks_with_their_deliveries(
    tmp_path: Path, origin: Origin, receiver: WebhookReceiver
) -> None:
    origin.script("/a", ScriptedResponse(size=10))
    async with WebhookReceiver(503) as failing:
        config = DEFAULT_CONFIG + webhook_table(failing, "failing")
        async with DaemonProcess(tmp_path, config=config) as daemon:
            await daemon.fetch("d", origin.url("/a"))
            await wait_until(lambda: filter_events(daemon.log_lines(), "hook_failed"))
            await daemon.reload(DEFAULT_CONFIG + webhook_table(receiver))
            (line,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_messages_dropped"))
            assert line["count"] == 1
            _, entry = await daemon.fetch("d", origin.url("/a"))
            await wait_until(lambda: receiver.messages_for(entry["download_id"]))
            assert len(receiver.received) == len(failing.received) == 1


# -- commands ----------------------------------------------------------------------------------------------------------


def program(tmp_path: Path, code: str) -> list[str]:
    """Return a command that runs this code."""
    file = tmp_path / "hook.py"
    file.write_text(code)
    return [sys.executable, "-I", str(file), "an argument; with $HOME"]


async def test_a_command_gets_the_facts_and_no_environment_of_the_daemon(tmp_path: Path, origin: Origin) -> None:
    origin.script("/a", ScriptedResponse(size=10))
    facts_file = tmp_path / "facts.json"
    command = program(
        tmp_path,
        "import json, os, sys\n"
        f"facts = [dict(os.environ), json.load(sys.stdin), sys.argv[1:], os.getcwd()]\n"
        f"open({str(facts_file)!r} + '.new', 'w').write(json.dumps(facts))\n"
        f"os.rename({str(facts_file)!r} + '.new', {str(facts_file)!r})\n",
    )
    environment = {"DOWNLOADD_DOWNLOADS__MAX_RETRIES": "1", "FROM_OUTSIDE": "x"}
    config = DEFAULT_CONFIG + hook_table(command=command)
    async with DaemonProcess(tmp_path, config=config, environment=environment) as daemon:
        _, entry = await daemon.fetch("d/é", origin.url("/a"))
        await wait_until(facts_file.exists)
        variables, message, arguments, folder = json.loads(facts_file.read_text())
        assert message["data"] == await daemon.get_download(entry["download_id"])
        assert arguments == ["an argument; with $HOME"]
        assert folder == "/"
        assert variables["HOOK_EVENT"] == "download.completed"
        assert variables["HOOK_FILE"] == str(daemon.root / "d/é/a")
        assert variables["HOOK_BYTES"] == "10"
        assert variables["HOOK_DOWNLOAD_ID"] == entry["download_id"]
        assert variables["FROM_OUTSIDE"] == "x"
        assert not [name for name in variables if name.startswith("DOWNLOADD_")]
        (line,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_delivered"))
        assert line["answer"] == "exit status 0"


async def test_a_failed_command_is_logged_with_status_and_last_output(tmp_path: Path, origin: Origin) -> None:
    command = program(tmp_path, "import sys; print('x' * 100_000); sys.exit('the scanner is away')")
    async with DaemonProcess(tmp_path, config=DEFAULT_CONFIG + hook_table(command=command)) as daemon:
        await daemon.fetch("d", origin.url("/missing"))
        (line,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_failed"))
        assert line["reason"].startswith("exit status 1: ")
        assert line["reason"].endswith("the scanner is away")
        assert len(line["reason"]) < 600


async def test_a_missing_command_is_logged(tmp_path: Path, origin: Origin) -> None:
    async with DaemonProcess(tmp_path, config=DEFAULT_CONFIG + hook_table(command=["/nowhere/to/be/found"])) as daemon:
        await daemon.fetch("d", origin.url("/missing"))
        (line,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_failed"))
        assert line["reason"] == "the program cannot be started: No such file or directory"


HANGS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open({pids!r}, "a") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}\\n")
time.sleep(600)
"""


def alive(pid: int) -> bool:
    with suppress(OSError):
        # A zombie counts as dead too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("how", ["timeout", "stop"])
async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path, origin: Origin, how: str) -> None:
    pids = tmp_path / "pids"
    command = program(tmp_path, HANGS.format(pids=str(pids)))
    config = DEFAULT_CONFIG + hook_table(command=command, timeout=2 if how == "timeout" else 60)
    async with DaemonProcess(tmp_path, config=config) as daemon:
        await daemon.fetch("d", origin.url("/missing"))
        await wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
        running = [int(pid) for pid in pids.read_text().split()]
        try:
            if how == "stop":
                assert all(map(alive, running))
                assert await daemon.stop() == 0
            else:
                (line,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_failed"))
                assert line["reason"] == "the program was killed after 2 s"
            await wait_until(lambda: not any(map(alive, running)))
        finally:
            for pid in running:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


# -- metrics -----------------------------------------------------------------------------------------------------------


async def metric(daemon: DaemonProcess, line: str) -> bool:
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
        return line in (await response.text()).splitlines()
