"""`downloadctl` in scripts and on a terminal, against a real daemon."""

import asyncio
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import aiohttp
import click
import pytest
from cli.conftest import DOWNLOADCTL, Run
from end_to_end.test_imports import export, serve
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess, make_config
from support.import_files import packed
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd import __version__
from downloadd.cli.main import downloadctl
from downloadd.download import Conflict
from downloadd.imports.importers import IMPORTERS
from downloadd.states import ACTIVE, FINISHED

pytestmark = pytest.mark.system

SLOW_RESPONSE = ScriptedResponse(size=10_000_000, rate=100_000)

# -- starting ----------------------------------------------------------------------------------------------------------


async def test_a_download_is_started_and_listed_and_shown(run: Run, origin: Origin) -> None:
    origin.script("/slow.iso", SLOW_RESPONSE)
    done = await run("add", "--dir", "iso", "--priority", "4", "--limit", "50 KiB", origin.url("/slow.iso"))
    assert (done.status, done.err) == (0, "")
    [tail] = re.findall(r"^([0-9a-f]{12})  iso/slow.iso$", done.out, re.MULTILINE)
    listed = await run("list", "--dir", "iso")
    assert re.search(rf"^{tail} +(starting|downloading) .* iso/slow.iso$", listed.out, re.MULTILINE)
    assert not re.search(r" $", listed.out, re.MULTILINE)
    for name in (tail, "slow.iso", "iso/slow.iso"):
        shown = await run("show", name)
        assert re.search(r"^priority +4$", shown.out, re.MULTILINE)
        assert re.search(r"^limit +50.0 KiB/s$", shown.out, re.MULTILINE)
    assert (await run("list", "--dir", "elsewhere")).out == "No active downloads.\n"


async def test_watching_ends_with_the_download_and_reports_its_outcome(run: Run, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=2048, rate=2048))
    origin.script("/gone", error_response(404))
    succeeded = await run("add", "--watch", origin.url("/f"))
    assert succeeded.status == 0
    assert re.search(r"^f: completed, 2.00 KiB in \d+ s$", succeeded.out, re.MULTILINE)
    partly_failed = await run("add", "--watch", origin.url("/f"), origin.url("/gone"))
    assert partly_failed.status == 1
    assert "gone: failed, Remote file not found: the origin answered 404\n" in partly_failed.out
    assert partly_failed.err == (
        "downloadctl: 1 of 2 downloads were not completed.\n  Verify the URL is correct and the file exists.\n"
    )
    as_json = await run("add", "--watch", "--json", origin.url("/gone"))
    [answer] = [json.loads(line) for line in as_json.out.splitlines()]
    assert (as_json.status, answer["success"], answer["history"][0]["error"]) == (1, False, "REMOTE_FILE_NOT_FOUND")


async def test_a_refused_url_is_explained_and_the_others_start(run: Run, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    done = await run("add", "ftp://x.example/y", origin.url("/f"), "http://10.0.0.1/")
    assert done.status == 1
    assert len(re.findall(r"^[0-9a-f]{12}  f$", done.out, re.MULTILINE)) == 1
    assert done.err == (
        "ftp://x.example/y: Invalid URL: the scheme of the URL is neither http nor https\n"
        "  Verify URL format is correct and includes protocol (http:// or https://).\n"
        "http://10.0.0.1/: Domain not allowed: the address 10.0.0.1 is not allowed (private use); "
        "downloads.allowed_networks allows further networks\n"
        "  Contact administrator to whitelist this domain or use allowed domains.\n"
        "downloadctl: 2 of 3 downloads were refused.\n"
    )
    as_json = await run("add", "--json", "nonsense")
    assert (as_json.status, json.loads(as_json.out)["downloads"][0]["error"]) == (1, "INVALID_URL")


async def test_secrets_of_a_request_are_read_from_standard_input(
    run: Run, origin: Origin, daemon: DaemonProcess
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    options = ("--watch", "--referer", "https://pages.example/", "--user", "ann", "--password-file", "-")
    done = await run("add", *options, origin.url("/f"), text="s3cret\n")
    assert (done.status, done.err) == (0, "")
    [request] = origin.requests("/f")
    assert request.field("Authorization") == aiohttp.encode_basic_auth("ann", "s3cret")
    assert request.field("Referer") == "https://pages.example/"
    refused = await run("add", "-H", "Host: s3cret", origin.url("/f"))
    assert "headers: Host cannot be set: it is taken from the URL" in refused.err
    assert "s3cret" not in f"{done} {refused} {daemon.log.read_text()}"


async def test_a_url_is_probed_before_a_download(run: Run, origin: Origin, daemon: DaemonProcess) -> None:
    origin.script("/get", redirect("/files/release.zip?sig=s3cret"))
    release = ScriptedResponse(size=3 << 20, etag='"v1"', content_type="application/zip")
    origin.script("/files/release.zip", release)
    done = await run("probe", "--user", "ann", "--password-file", "-", origin.url("/get"), text="s3cret\n")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "file        release.zip",
        "size        3.00 MiB (3145728 B)",
        "type        application/zip",
        f"from        {origin.url('/files/release.zip?sig=***')}",
        "redirects   1",
        "ranges      yes",
        "resume      possible",
        'entity tag  "v1"',
    ]
    sent = [request.field("Authorization") for request in origin.requests("/files/release.zip")]
    assert sent == [aiohttp.encode_basic_auth("ann", "s3cret")]
    assert "s3cret" not in f"{done} {daemon.log.read_text()}"
    assert (await daemon.active(), await daemon.history(), daemon.files()) == ([], [], {})
    as_json = await run("probe", "--json", "--name", "mine.zip", origin.url("/files/release.zip"))
    answer = json.loads(as_json.out)
    assert (answer["filename"], answer["size"], answer["resumable"]) == ("mine.zip", 3 << 20, True)


async def test_the_failure_of_a_probe_is_explained(
    run: Run, run_without_daemon: Run, origin: Origin, daemon: DaemonProcess
) -> None:
    gone = await run("probe", origin.url("/gone"))
    assert (gone.status, gone.out) == (1, "")
    assert gone.err == (
        "downloadctl: Remote file not found: the origin answered 404.\n"
        "  Verify the URL is correct and the file exists.\n"
    )
    blocked = await run("probe", "--json", "http://10.0.0.1/")
    assert (blocked.status, json.loads(blocked.out)["error"]) == (1, "DOMAIN_BLOCKED")
    posted = await run("probe", "--data", "a=1", origin.url("/f"))
    assert (posted.status, "a probe sends GET only" in posted.err) == (1, True)
    assert origin.requests("/f") == []
    assert (await run("probe")).status == 2
    assert (await run("probe", "http://a.example/", DOWNLOADD_TOKEN="x" * 40)).status == 4
    assert (await run_without_daemon("probe", "http://a.example/")).status == 3


async def test_links_are_found_in_a_pasted_page(run: Run, origin: Origin, daemon: DaemonProcess) -> None:
    names = ("/a", "/b(1)", "/c")
    for name in names:
        origin.script(name, ScriptedResponse(size=10))
    lines = [f"line {number} of a page" for number in range(200)]
    lines[20] = f"see <a href='{origin.url('/a')}'>here</a> and ({origin.url('/b(1)')})."
    lines[90] = f"{origin.url('/c')}, {origin.url('/a')}!"
    done = await run("add", "--input", "-", "--watch", text="\n".join(lines))
    assert done.status == 0, done.err
    assert set(daemon.files()) == {"a", "b(1)", "c"}
    nothing = await run("add", "--input", "-", text="no link\n" * 200)
    assert (nothing.status, "there is no link in <stdin>" in nothing.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add",), "name at least one URL, or a text with --input"),
        (("add", "--name", "x", "http://a.example/", "http://b.example/"), "name one URL"),
        (("add", "--limit", "fast", "http://a.example/"), "expected a size in bytes"),
        (("add", "--segments", "99", "http://a.example/"), "is not in the range 1<=x<=16"),
        (("add", "--input", "missing.txt"), "No such file or directory"),
        (("set", "x"), "name a change"),
        (("pause",), "name downloads, or all of them with --all"),
        (("retry",), "name downloads"),
        (("nonsense",), "No such command 'nonsense'"),
        (("--url", "ftp://x", "list"), "must begin with http://, https:// or unix:"),
        (("--token", "a", "--token-file", "b", "list"), "give one of them"),
        (("--token-file", "missing", "list"), "cannot read a token from missing"),
        (("--ca-file", "missing", "list"), "missing: cannot be read: No such file"),
        (("import", "missing.zip"), "does not exist"),
    ],
)
async def test_invalid_arguments_are_explained(
    run_without_daemon: Run, arguments: tuple[str, ...], message: str
) -> None:
    done = await run_without_daemon(*arguments, **({"DOWNLOADD_TOKEN": ""} if "--token-file" in arguments else {}))
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert done.err.startswith("downloadctl: ")
    assert re.search(r"\(see downloadctl.* --help\)$", done.err)


# -- queries -----------------------------------------------------------------------------------------------------------


async def test_the_history_is_searched(run: Run, origin: Origin, daemon: DaemonProcess) -> None:
    origin.script("/f.bin", ScriptedResponse(size=2048))
    origin.script("/gone", error_response(404))
    await daemon.fetch("d", origin.url("/f.bin"))
    await daemon.fetch("d", origin.url("/gone"))
    done = await run("history")
    assert re.search(r"completed +2.00 KiB +d/f.bin$", done.out, re.MULTILINE)
    assert re.search(r"failed +d/gone +Remote file not found: the origin answered 404$", done.out, re.MULTILINE)
    searched = await run("history", "--search", "f.bin")
    assert (searched.status, "d/f.bin" in searched.out, "d/gone" in searched.out) == (0, True, False)
    failed = await run("history", "--status", "failed", "--dir", "d")
    assert (failed.status, "d/gone" in failed.out, "d/f.bin" in failed.out) == (0, True, False)
    assert (await run("history", "--search", "nothing")).out == "No finished download matches.\n"
    limited = await run("history", "--limit", "1", "--json")
    assert [len(json.loads(limited.out)["history"]), json.loads(limited.out)["next"] is not None] == [1, True]
    shown = await run("show", "gone")
    assert re.search(r"^resolution +Verify the URL is correct and the file exists$", shown.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "option", "members"),
    [
        ("list", "status", ACTIVE),
        ("history", "status", FINISHED),
        ("add", "conflict", Conflict),
        ("import", "kind", IMPORTERS),
    ],
)
def test_an_option_takes_the_values_of_the_api(command: str, option: str, members: Iterable[str]) -> None:
    [parameter] = [each for each in downloadctl.commands[command].params if each.name == option]
    words = [str(member) for member in members]
    assert isinstance(parameter.type, click.Choice)
    assert sorted(parameter.type.choices) == sorted(words)
    for word in words:
        taken = parameter.type.convert(word, parameter, None)
        assert (type(taken), taken) == (str, word)


async def test_a_command_accepts_its_option_with_choices(run: Run, origin: Origin, tmp_path: Path) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    links = tmp_path / "links.txt"
    links.write_text(f"{origin.url('/f')}\n")
    for command in (
        ("list", "--status", "queued"),
        ("history", "--status", "failed"),
        ("add", "--conflict", "skip", origin.url("/f")),
        ("import", str(links), "--look", "--kind", "urls"),
    ):
        done = await run(*command)
        assert (done.status, done.err) == (0, "")


async def test_hosts_are_listed_with_their_last_error(run: Run, daemon: DaemonProcess, origin: Origin) -> None:
    assert (await run("hosts")).out == "No download waits or runs, and no host is in trouble.\n"
    origin.script("/busy", error_response(503, retry_after="100"))
    id = (await daemon.start_download("d", origin.url("/busy")))["download_id"]
    await daemon.wait_for_state(id, "retrying")
    listed = (await run("hosts")).out
    assert re.search(rf"^{origin.url('')} +backoff +0 of 16 +0 .*the origin answered 503", listed, re.MULTILINE)
    assert json.loads((await run("hosts", "--json")).out)["hosts"][0]["state"] == "backoff"


async def test_the_status_counts_active_downloads(run: Run, daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/slow", SLOW_RESPONSE)
    quiet = await run("status")
    assert quiet.out == f"downloadd {__version__} at {daemon.url}/\nNo active downloads.\n"
    id = (await daemon.start_download("d", origin.url("/slow")))["download_id"]
    await daemon.wait_for_state(id, "downloading")
    assert "\n1 downloading; " in (await run("status")).out
    assert json.loads((await run("status", "--json")).out)["active"]["downloading"] == 1


async def has_subscribers(daemon: DaemonProcess, count: int) -> bool:
    """Return True if so many clients read the event stream."""
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
        return f"downloadd_event_subscribers {float(count)}" in (await response.text()).splitlines()


async def test_watching_without_a_terminal_writes_lines_or_json(
    run: Run, daemon: DaemonProcess, origin: Origin
) -> None:
    # The last bytes are sent when both commands read the stream.
    release = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=2000, body_event=release, rate=1000))
    id = (await daemon.start_download("d", origin.url("/f")))["download_id"]
    watching = asyncio.gather(run("watch", id), run("watch", "--json", "f"))
    await wait_until(lambda: has_subscribers(daemon, 2))
    release.set()
    lines, events = await watching
    assert (lines.status, events.status) == (0, 0)
    assert re.search(r"^d/f: downloading, [0-9.]+ K?i?B of 1.95 KiB", lines.out, re.MULTILINE)
    assert re.search(r"^d/f: completed, 1.95 KiB in \d+ s$", lines.out, re.MULTILINE)
    events_read = [json.loads(line) for line in events.out.splitlines()]
    assert {one["event"] for one in events_read} == {"download", "history"}
    assert events_read[-1]["data"]["id"] == id
    # One that has ended before is not waited for.
    ended = await run("watch", "d/f")
    assert (ended.status, re.sub(r"\d+ s", "0 s", ended.out)) == (0, "d/f: completed, 1.95 KiB in 0 s\n")


@contextmanager
def run_on_pipe(environment: dict[str, str], *arguments: str) -> Iterator[IO[str]]:
    """Run the command within the context and yield its output; it must succeed."""
    process = subprocess.Popen([DOWNLOADCTL, *arguments], stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        try:
            yield output
            assert process.wait(CONDITION_TIMEOUT) == 0
        finally:
            process.kill()
            process.wait(CONDITION_TIMEOUT)


async def test_a_lost_connection_is_reported_and_restored(
    daemon_environment: dict[str, str], restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script(
        "/f",
        [ScriptedResponse(size=300_000, stall_after=100_000, etag='"1"'), ScriptedResponse(size=300_000, etag='"1"')],
    )
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/f")))["download_id"]
    variables = {**daemon_environment, "DOWNLOADD_URL": restartable.url}
    with run_on_pipe(variables, "watch", id) as watching:
        await wait_until(lambda: has_subscribers(restartable, 1))
        await restartable.kill()
        messages = [await asyncio.to_thread(watching.readline)]
        while "reconnecting" not in messages[-1]:
            assert messages[-1], "the command has ended"
            messages.append(await asyncio.to_thread(watching.readline))
        assert "cannot be reached: " in messages[-1]
        assert messages[-1].endswith("; reconnecting\n")
        await restartable.start()
        assert "d/f: completed" in await asyncio.to_thread(watching.read)


# -- changing ----------------------------------------------------------------------------------------------------------


async def test_downloads_are_changed_by_name_or_all_together(run: Run, daemon: DaemonProcess, origin: Origin) -> None:
    for name in ("/a", "/b"):
        origin.script(name, SLOW_RESPONSE)
        await daemon.start_download("d", origin.url(name))
    assert (await run("pause", "a")).out == "Download paused: d/a\n"
    both = await run("pause", "--all")
    assert both.out == "Downloads paused: 1\n"
    assert {entry["status"] for entry in await daemon.active()} == {"paused"}
    assert (await run("pause", "--all")).out == "No download to change.\n"
    assert "Download changed" in (await run("set", "a", "--priority", "7", "--limit", "1 MiB")).out
    assert (await daemon.active())[0]["priority"] == 7
    assert (await run("resume", "--all")).out == "Downloads resumed: 2\n"
    assert (await run("cancel", "a", "b")).status == 0
    assert await daemon.active() == []
    wrong = await run("pause", "a")
    assert (wrong.status, "d/a" in wrong.out) == (1, False)
    assert re.match(r"downloadctl: [0-9a-f]{12}: .+\. .+\.$", wrong.err)
    assert (await run("retry", "a")).out.endswith(": d/a\n")
    as_json = json.loads((await run("cancel", "a", "b", "--json")).out)
    assert [one["success"] for one in as_json["downloads"]] == [True, False]
    assert as_json["success"] is False


async def test_an_ambiguous_name_lists_the_downloads(run: Run, daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    for directory in ("one", "two"):
        await daemon.fetch(directory, origin.url("/f"))
    done = await run("show", "f")
    assert done.status == 1
    assert done.err.startswith("downloadctl: 2 downloads have the name f; select one by its id:\n")
    assert len(re.findall(r"^  [0-9a-f]{12}  completed  (?:one|two)/f$", done.err, re.MULTILINE)) == 2
    nothing = await run("show", "--json", "nothing")
    assert (nothing.status, json.loads(nothing.out)["error"]) == (1, "NOT_FOUND")
    assert "No download has the name nothing." in nothing.err


# -- imports -----------------------------------------------------------------------------------------------------------


async def test_an_export_is_imported_and_watched(
    run: Run, daemon: DaemonProcess, origin: Origin, tmp_path: Path
) -> None:
    serve(origin)
    file = tmp_path / "Acme export.zip"
    file.write_bytes(packed(export(origin, ["F1", "F2", "F3"])))
    look = await run("import", str(file), "--look")
    assert look.out == "1 user, 3 messages, 2 channels: general, empty\n"
    assert json.loads((await run("import", str(file), "--look", "--json")).out)["message_count"] == 3
    wrong = await run("import", str(file), "--channel", "nonsense")
    assert (wrong.status, "there is no channel nonsense; there are empty, general" in wrong.err) == (2, True)
    done = await run("import", str(file), "--channel", "general", "--avatars", "--watch")
    assert done.status == 0, done.err
    assert "files completed, 0 failed." in done.out
    assert sum(path.endswith(".gif") for path in daemon.files()) == 3


async def test_a_file_that_fails_does_not_prevent_the_avatars(
    run: Run, daemon: DaemonProcess, origin: Origin, tmp_path: Path
) -> None:
    origin.script("/F1", error_response(404))
    origin.script("/avatar.png", [error_response(404), ScriptedResponse(size=77, content_type="image/png")])
    file = tmp_path / "export.zip"
    file.write_bytes(packed(export(origin, ["F1"])))
    done = await run("import", str(file), "--avatars", "--watch")
    assert (done.status, done.out.count("0 of 1 files completed, 1 failed.")) == (1, 2)
    run_id = next(word for word in done.err.split() if len(word) == 17)
    again = await run("import-retry", run_id, "--watch")
    assert (again.status, len(origin.requests("/F1"))) == (1, 2)
    assert "1 of 1 files completed, 0 failed." in again.out
    assert [path.rpartition("/")[2] for path in daemon.files() if "/avatars/" in path] == ["U1-ann"]


async def test_what_an_import_leaves_out_has_lines_and_an_exit_code(run: Run, origin: Origin, tmp_path: Path) -> None:
    origin.script("/good", ScriptedResponse(size=10))
    file = tmp_path / "links.csv"
    file.write_text(f"url\n{origin.url('/good')}\nhttp://h/a,b\n" + "nonsense\n" * 30)
    done = await run("import", str(file), "--watch")
    assert done.status == 5
    assert "1 of 1 files completed, 0 failed, 31 left out." in done.out
    lines = [line for line in done.err.splitlines() if line.startswith("left out: ")]
    assert lines[0].endswith("the header has 1; quote cells: too_many_cells")
    assert (len(lines), lines[-1]) == (21, "left out: 11 more")
    assert "31 parts of links.csv left out." in done.err
    # Nothing is imported, so that nothing is left out yet.
    look = await run("import", str(file), "--look")
    assert (look.status, [line for line in look.err.splitlines() if line.startswith("left out: ")]) == (0, lines)
    assert len(json.loads((await run("import", str(file), "--look", "--json")).out)["skipped"]) == 31
    watched = json.loads((await run("import", str(file), "--watch", "--json")).out)
    assert (watched["count"]["skipped"], len(watched["skipped"])) == (31, 31)
    started = json.loads((await run("import", str(file), "--json")).out)
    assert (started["count"], started["skipped"]) == (1, watched["skipped"])
    assert [(item["reason"], item["line"]) for item in started["skipped"][:2]] == [("too_many_cells", 3), ("no_url", 4)]


async def test_what_is_found_while_the_files_are_downloaded_has_a_line_and_an_exit_code(
    run: Run, origin: Origin, tmp_path: Path
) -> None:
    sums = f"{hashlib.sha256(b'content').hexdigest()}  good\nrubbish\n".encode()
    for path, content in (("/SHA256SUMS", sums), ("/good", b"content")):
        origin.script(path, ScriptedResponse(body=content))
    file = tmp_path / "links.txt"
    file.write_text(f"{origin.url('/SHA256SUMS')}\n{origin.url('/good')}\n")
    for left_out in (1, 2):
        done = await run("import", str(file), "--watch")
        assert (done.status, f"2 of 2 files completed, 0 failed, {left_out} left out." in done.out) == (5, True)
        lines = [line for line in done.err.splitlines() if line.startswith("left out: ")]
        assert len(lines) == left_out
        assert "has one line without a name and a known checksum, the first at line 2: malformed" in lines[-1]
        result = json.loads((await run("import", str(file), "--watch", "--json")).out)
        assert [item["reason"] for item in result["skipped"]] == ["no_url"] * (left_out - 1) + ["malformed"]
        file.write_text(f"{file.read_text()}nonsense\n")


async def test_the_skipped_entries_of_an_import_are_fetched_in_pages(run: Run, origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "links.csv"
    file.write_text(f"url\n{origin.url('/good')}\n" + "nonsense\n" * 1005)
    result = json.loads((await run("import", str(file), "--json")).out)
    assert [item["line"] for item in result["skipped"]] == list(range(3, 1008))
    file.write_text(f"url\n{origin.url('/good')}\n")
    assert json.loads((await run("import", str(file), "--json")).out)["skipped"] == []


async def test_a_list_is_imported_and_failures_are_reported(run: Run, origin: Origin, tmp_path: Path) -> None:
    origin.script("/good", ScriptedResponse(size=10))
    origin.script("/gone", error_response(404))
    file = tmp_path / "links.txt"
    file.write_text(f"{origin.url('/good')}\n{origin.url('/gone')}\n")
    done = await run("import", str(file), "--watch")
    assert done.status == 1
    assert "1 of 2 files completed, 1 failed." in done.out
    assert "downloadctl: The import is not complete" in done.err
    assert "--give-up gives them up" in done.err
    run_id = next(word for word in done.err.split() if len(word) == 17)
    again = await run("import-retry", run_id, "--watch")
    assert (again.status, "0 of 1 files completed, 1 failed." in again.out) == (1, True)
    # Each file is that of the operation that tried it last.
    run_id = next(word for word in again.err.split() if len(word) == 17)
    for option, given_up in (([], 0), (["--give-up"], 1), (["--give-up"], 1), ([], 1)):
        newest = json.loads((await run("import-end", run_id, "--json", *option)).out)
        assert (newest["operation"]["_id"], newest["operation"]["count"]["given_up"]) == (run_id, given_up)
    assert (await run("import-end", run_id)).out == "Pending Files was finished before.\n"
    assert (await run("import-end", run_id, "--give-up")).out == (
        "Pending Files was finished before; the files that are not completed are given up.\n"
    )
    assert (await run("import-retry", run_id)).out == "0 files tried again.\n"
    assert len(origin.requests("/gone")) == 2
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    assert "does not look like a list or an export" in (await run("import", str(picture))).err
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and nothing more")
    refused = await run("import", str(broken))
    assert (refused.status, refused.err.startswith("downloadctl: ")) == (1, True)


# -- address and token -------------------------------------------------------------------------------------------------


async def test_on_the_machine_of_the_daemon_address_and_token_are_found(
    tmp_path: Path, environment: dict[str, str], origin: Origin
) -> None:
    state = tmp_path / "home" / "downloadd"
    config = DEFAULT_CONFIG.partition("[[users]]")[0] + '[server]\nbase_path = "/fetch"\n'
    daemon = DaemonProcess(tmp_path, config=config)
    daemon.state = state
    variables = {**environment, "XDG_STATE_HOME": str(tmp_path / "home")}

    def status() -> subprocess.CompletedProcess[str]:
        return subprocess.run([DOWNLOADCTL, "status"], env=variables, capture_output=True, text=True, check=False)

    await daemon.start()
    try:
        done = await asyncio.to_thread(status)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"at {daemon.url.removesuffix('/fetch')}/fetch/\n" in done.stdout
        assert (state / "address").stat().st_mode & 0o777 == 0o600
        # The token in the state directory is only for that daemon.
        elsewhere = [DOWNLOADCTL, "--url", origin.url("/"), "list"]
        await asyncio.to_thread(subprocess.run, elsewhere, env=variables, capture_output=True, check=False)
        assert [request.field("authorization") for request in origin.requests("/api/v1/downloads")] == [None]
        await daemon.stop()
        # Without this file, the command asks the port of the default, where another daemon may listen.
        assert not (state / "address").exists()
    finally:
        if daemon.process is not None:
            await daemon.kill()


async def test_a_socket_and_a_file_with_the_token_can_be_named(tmp_path: Path, environment: dict[str, str]) -> None:
    config = f'{DEFAULT_CONFIG}[server]\nunix_socket = "{tmp_path}/api.sock"\n'
    (tmp_path / "secret").write_text(f"{TOKEN}\n")
    async with DaemonProcess(tmp_path, config=config):
        command = [DOWNLOADCTL, "--url", f"unix:{tmp_path}/api.sock", "--token-file", f"{tmp_path}/secret", "list"]
        done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"No active downloads.\n")


async def test_a_refused_token_and_a_missing_daemon_have_their_own_exit_codes(run: Run, daemon: DaemonProcess) -> None:
    denied = await run("list", DOWNLOADD_TOKEN="wrong" * 10)
    assert (denied.status, denied.out) == (4, "")
    assert denied.err.startswith(f"downloadctl: The token is refused by {daemon.url}: ")
    as_json = await run("list", "--json", DOWNLOADD_TOKEN="wrong" * 10)
    assert json.loads(as_json.out) == {"success": False, "error": "unauthorized", "detail": None}
    away = await run("list", DOWNLOADD_URL="http://127.0.0.1:9")
    assert away.status == 3
    assert away.err.startswith("downloadctl: http://127.0.0.1:9/ cannot be reached: Connection refused.\n  Is the")
    assert (await run("list", DOWNLOADD_TOKEN="", DOWNLOADD_URL=daemon.url)).status == 4


# -- without a daemon --------------------------------------------------------------------------------------------------


async def test_a_new_token_is_accepted_by_the_daemon(run: Run, daemon: DaemonProcess) -> None:
    made = json.loads((await run("new-token", "--json")).out)
    assert made["token_hash"] == f"sha256:{hashlib.sha256(made['token'].encode()).hexdigest()}"
    shown = (await run("new-token", "--id", 'al"ice')).out
    [token] = re.findall(r"^token  (\S+)$", shown, re.MULTILINE)
    await daemon.reload(DEFAULT_CONFIG + shown[shown.index("[[users]]") :])
    assert (await run("list", DOWNLOADD_TOKEN=token)).status == 0
    assert (await run("import", __file__, "--look", DOWNLOADD_TOKEN=token)).status == 4


@pytest.mark.parametrize("name", ["", *sorted(downloadctl.commands)])
async def test_every_help_text_has_an_example(run_without_daemon: Run, name: str) -> None:
    done = await run_without_daemon(*([name] if name else []), "--help")
    assert done.status == 0
    assert re.search(r"^  Examples?:\n    downloadctl|^  Examples?:\n    eval", done.out, re.MULTILINE), done.out
    if name not in {"", "completion", "schedules", "storage", "users"}:
        assert "--json" in done.out


async def test_the_shell_completes_commands_downloads_and_directories(
    run: Run, daemon: DaemonProcess, origin: Origin
) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = (await run("completion", shell)).out
        assert "_DOWNLOADCTL_COMPLETE" in script
        if shell == "bash":
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    origin.script("/slow", SLOW_RESPONSE)
    id = (await daemon.start_download("films/new", origin.url("/slow")))["download_id"]

    async def completed(line: str) -> list[str]:
        words = line.split(" ")
        variables = {
            "_DOWNLOADCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
        return (await run(**variables)).out.splitlines()

    async def completes(line: str, word: str) -> bool:
        return await completed(line) == [f"plain,{word}"]

    assert await completes("downloadctl pau", "pause")
    # An answer that comes late is left out, so that the shell does not hang.
    await wait_until(lambda: completes("downloadctl pause ", id[-12:]))
    await wait_until(lambda: completes("downloadctl add --dir fi", "films"))


# -- on a terminal -----------------------------------------------------------------------------------------------------


class TerminalScreen:
    """Pseudo-terminal with a command in it."""

    def __init__(self, terminal: int, process: subprocess.Popen[bytes]) -> None:
        self.terminal = terminal
        self.process = process
        self.written = ""
        # Unlike select, it accepts descriptors above 1023: this process has an origin with a thousand connections.
        self._poll = select.poll()
        self._poll.register(terminal, select.POLLIN)

    def wait_for(self, condition: Callable[[str], object], seconds: float = CONDITION_TIMEOUT) -> None:
        """Read until the output meets the condition."""
        end = time.monotonic() + seconds
        while not condition(self.written):
            assert time.monotonic() < end, self.written
            if self._poll.poll(100):
                try:
                    self.written += os.read(self.terminal, 65536).decode("utf-8", "replace")
                except OSError:
                    assert condition(self.written), self.written
                    return


@contextmanager
def run_on_terminal(
    environment: dict[str, str], *arguments: str, columns: int = 120, rows: int = 20
) -> Iterator[TerminalScreen]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [DOWNLOADCTL, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield TerminalScreen(ours, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(CONDITION_TIMEOUT)
        os.close(ours)


async def test_bars_move_and_ended_downloads_stay(
    daemon_environment: dict[str, str], daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/slow.iso", SLOW_RESPONSE)
    origin.script("/quick", ScriptedResponse(size=3_000_000))
    await daemon.start_download("d", origin.url("/slow.iso"))
    # A bar that moves would stay for a minute.
    with run_on_terminal(daemon_environment, "add", "--watch", "--limit", "50 KiB", origin.url("/quick")) as screen:
        await asyncio.to_thread(screen.wait_for, lambda text: "━" in text and "KiB/s" in text)
        [quick] = [entry["id"] for entry in await daemon.active() if entry["filename"] == "quick"]
        assert (await daemon.amend(quick, speed_limit=0))[0] == 200
        await asyncio.to_thread(screen.wait_for, lambda text: "completed" in text)
        assert await asyncio.to_thread(screen.process.wait, CONDITION_TIMEOUT) == 0
        assert "slow.iso" not in screen.written, "only the added downloads are watched"
    with run_on_terminal(daemon_environment, "watch") as screen:
        await asyncio.to_thread(screen.wait_for, lambda text: "slow.iso" in text and "1 running" in text)
        screen.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(screen.process.wait, CONDITION_TIMEOUT) == 130
        await asyncio.to_thread(screen.wait_for, lambda text: text.endswith("\x1b[?25h") or "\x1b[?25h" in text)
        assert "Traceback" not in screen.written


async def test_the_whole_terminal_shows_downloads_and_keys_change_them(
    daemon_environment: dict[str, str], daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/slow.iso", SLOW_RESPONSE)
    id = (await daemon.start_download("d", origin.url("/slow.iso")))["download_id"]
    with run_on_terminal(daemon_environment, "top") as screen:
        await asyncio.to_thread(screen.wait_for, lambda text: "slow.iso" in text and "1 running" in text)
        os.write(screen.terminal, b"j")
        await asyncio.sleep(0)
        os.write(screen.terminal, b"p")
        await asyncio.to_thread(screen.wait_for, lambda text: "0 running, 1 waiting or paused" in text)
        assert (await daemon.get_download(id))["status"] == "paused"
        os.write(screen.terminal, b"q")
        assert await asyncio.to_thread(screen.process.wait, CONDITION_TIMEOUT) == 0
        await asyncio.to_thread(screen.wait_for, lambda text: "\x1b[?1049l" in text)
        assert "Traceback" not in screen.written


async def test_a_password_is_asked_for_and_not_shown(
    daemon_environment: dict[str, str], daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    with run_on_terminal(daemon_environment, "add", "--user", "ann", origin.url("/f")) as screen:
        await asyncio.to_thread(screen.wait_for, lambda text: "Password of ann" in text)
        os.write(screen.terminal, b"s3cret\n")
        await origin.wait_requested("/f")
        assert await asyncio.to_thread(screen.process.wait, CONDITION_TIMEOUT) == 0
        assert "s3cret" not in screen.written
    assert origin.requests("/f")[0].field("Authorization") == aiohttp.encode_basic_auth("ann", "s3cret")


async def test_a_small_terminal_shows_what_fits_and_counts_the_rest(
    daemon_environment: dict[str, str], daemon: DaemonProcess, origin: Origin
) -> None:
    for number in range(12):
        origin.script(f"/f{number}", SLOW_RESPONSE)
        await daemon.start_download("d", origin.url(f"/f{number}"))
    with run_on_terminal(daemon_environment, "watch", columns=60, rows=8) as screen:
        await asyncio.to_thread(screen.wait_for, lambda text: "7 more" in text)
        assert "━" not in screen.written, "a bar leaves no space for names"


async def test_text_of_an_origin_cannot_control_the_terminal(
    daemon_environment: dict[str, str], daemon: DaemonProcess
) -> None:
    hostile = "\x1b[31m\x07\u202e"
    status, answer = await daemon.fetch("d", "http://x.example/f", filename=f"named{hostile}")
    assert (status, answer["filename"]) == (400, f"named{hostile}")
    for command, shown in (("history", "named"), ("list", "No active")):
        with run_on_terminal(daemon_environment, command) as screen:
            assert await asyncio.to_thread(screen.process.wait, CONDITION_TIMEOUT) == 0
            await asyncio.to_thread(screen.wait_for, re.compile(shown).search)
            assert "\x07" not in screen.written
            assert "\u202e" not in screen.written
            assert "\x1b[31m\x07" not in screen.written


async def test_watching_a_thousand_downloads_takes_little_time(
    daemon_environment: dict[str, str], tmp_path: Path, origin: Origin
) -> None:
    config = make_config(max_concurrent=1000, max_per_host=1000)
    origin.script("/slow", ScriptedResponse(size=10_000_000, rate=2000))
    async with DaemonProcess(tmp_path, config=config) as busy:
        orders = [{"url": origin.url("/slow"), "directory": f"d{number}"} for number in range(1000)]
        assert (await busy.request("POST", "/api/v1/downloads", json={"downloads": orders}))[0] == 201
        await wait_until(lambda: origin.active("/slow") > 900)
        with run_on_terminal({**daemon_environment, "DOWNLOADD_URL": busy.url}, "watch") as screen:
            await asyncio.to_thread(screen.wait_for, lambda text: "more" in text)
            watched = Path(f"/proc/{screen.process.pid}/stat")

            def seconds_used() -> float:
                fields = watched.read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

            before, start = seconds_used(), time.monotonic()
            while time.monotonic() - start < 3:
                await asyncio.to_thread(screen.wait_for, lambda text: True)
                await asyncio.to_thread(os.read, screen.terminal, 65536)
            assert (seconds_used() - before) / (time.monotonic() - start) < 0.2
