"""The watcher over a real import service; `support.import_stack` finishes the downloads."""

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.import_stack import DIRECTORY, ImportStack
from support.waiting import wait_until

from downloadd.config import WatchConfig
from downloadd.errors import StoreUnavailableError
from downloadd.imports.service import ImportService
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State
from downloadd.watch.folder import WatchFolder
from downloadd.watch.import_directories import ImportDirectories
from downloadd.watch.watcher import Imports, Watcher

URLS = "http://h/a.bin\nhttp://h/b.bin\n"


def make_watcher(stack: ImportStack, imports: Imports, folder: Path, **settings: Any) -> Watcher:
    config = WatchConfig(path=str(folder), settle=0, **settings)
    return Watcher(config, imports=imports, directories=ImportDirectories(DIRECTORY, stack.clock), clock=stack.clock)


@asynccontextmanager
async def watching(stack: ImportStack, folder: Path, **settings: Any) -> AsyncIterator[ImportService]:
    async with stack.make_service() as imports:
        watcher = make_watcher(stack, imports, folder, **settings)
        try:
            yield imports
        finally:
            await watcher.stop()


def refuse_calls(monkeypatch: pytest.MonkeyPatch, method: str, name: str) -> None:
    """Let a call for one file fail, as a user who is not root would find it."""
    call = getattr(WatchFolder, method)

    def refuse(folder: WatchFolder, called: str) -> Any:
        if called == name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return call(folder, called)

    monkeypatch.setattr(WatchFolder, method, refuse)


async def read_result(folder: Path, outcome: str, name: str) -> dict[str, Any]:
    path = folder / outcome / f"{name}.result.json"
    await wait_until(lambda: path.exists() and (folder / outcome / name).exists())
    result: dict[str, Any] = json.loads(path.read_text())
    return result


async def test_a_new_list_is_downloaded_and_moves_aside_with_its_result(stack: ImportStack, folder: Path) -> None:
    async with watching(stack, folder):
        (folder / "links.txt").write_text(URLS)
        result = await read_result(folder, "done", "links.txt")
    assert [request.url for request in stack.downloads.requests] == ["http://h/a.bin", "http://h/b.bin"]
    assert (result["total"], result["completed"], result["failed"], result["skipped"]) == (2, 2, 0, 0)
    assert result["directory"].startswith(f"{DIRECTORY}/")
    assert (stack.root / result["directory"] / "manifest.jsonl").exists()
    # It is removed after the file has moved, by a thread.
    await wait_until(lambda: not list((folder / "processing").iterdir()))
    assert stack.stored() == []


async def test_each_file_is_an_import_of_its_own(stack: ImportStack, folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"http://h/{number}\n")
    async with watching(stack, folder):
        results = [await read_result(folder, "done", f"{number}.txt") for number in range(3)]
    assert len({result["operation"] for result in results}) == 3
    assert len(stack.downloads.requests) == 3


async def test_files_are_taken_while_the_downloads_of_earlier_ones_run(stack: ImportStack, folder: Path) -> None:
    stack.downloads.auto_complete = False
    async with watching(stack, folder):
        for name in ("a", "b"):
            (folder / f"{name}.txt").write_text(f"http://h/{name}\n")
        await wait_until(lambda: len(stack.downloads.requests) == 2)
        first, second = stack.downloads.requests
        await stack.downloads.finish(second.id)
        await stack.downloads.finish(first.id, State.FAILED, detail="not found")
        result = await read_result(folder, "failed", first.url[-1] + ".txt")
        await read_result(folder, "done", second.url[-1] + ".txt")
    assert (result["total"], result["failed"], result["reason"]) == (1, 1, None)


@pytest.mark.parametrize(
    ("content", "settings", "reason"),
    [
        pytest.param(b"\0\1\2", {}, "no importer can read the file", id="binary"),
        pytest.param(b"hello", {"importer": "metalink"}, "is not XML", id="not of its kind"),
        pytest.param(b"x" * (1 << 20) + b"x", {}, "larger than the limit", id="too large"),
        pytest.param(b"", {}, "", id="empty"),
    ],
)
async def test_a_file_that_cannot_be_imported_fails_with_the_reason(
    stack: ImportStack, folder: Path, content: bytes, settings: dict[str, Any], reason: str
) -> None:
    async with watching(stack, folder, **settings):
        (folder / "a.txt").write_bytes(content)
        result = await read_result(folder, "failed", "a.txt")
    assert reason.lower() in result["reason"].lower()
    assert stack.downloads.requests == []
    assert stack.stored() == []


async def test_a_file_that_may_not_be_read_fails_and_does_not_delay_others(
    stack: ImportStack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.txt").write_text(URLS)
    (folder / "b.txt").write_text(URLS)
    refuse_calls(monkeypatch, "open_taken", "a.txt")
    async with watching(stack, folder):
        result = await read_result(folder, "failed", "a.txt")
        await read_result(folder, "done", "b.txt")
    assert result["reason"] == "the user of the daemon has no permission to read the file"


async def test_a_file_that_may_not_be_moved_does_not_delay_others(
    stack: ImportStack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.watch.watcher.RETRY_SECONDS", 0.02)
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(URLS)
    refuse_calls(monkeypatch, "take", "a.txt")
    with capture_logs() as logs:
        async with watching(stack, folder):
            await read_result(folder, "done", "b.txt")
            await wait_until(lambda: any(each["event"] == "watch_folder_unavailable" for each in logs))
    [reason] = {each["reason"] for each in logs if each["event"] == "watch_folder_unavailable"}
    assert reason == "a.txt cannot be moved: Permission denied"
    assert (folder / "a.txt").exists()


async def test_files_that_were_there_before_the_start_are_taken(stack: ImportStack, folder: Path) -> None:
    (folder / "links.txt").write_text(URLS)
    async with watching(stack, folder):
        await read_result(folder, "done", "links.txt")


async def test_a_folder_that_is_away_holds_its_files_and_is_used_when_it_is_back(
    stack: ImportStack, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("downloadd.watch.watcher.RETRY_SECONDS", 0.02)
    folder.rmdir()
    async with watching(stack, folder):
        await asyncio.sleep(0.1)
        folder.mkdir()
        (folder / "links.txt").write_text(URLS)
        await read_result(folder, "done", "links.txt")
        folder.rename(folder.with_name("old"))
        folder.mkdir()
        (folder / "more.txt").write_text(URLS)
        await read_result(folder, "done", "more.txt")


class CutImports:
    """The import service up to a call, before or after which the process ends."""

    def __init__(self, imports: ImportService, calls: int, *, is_after: bool) -> None:
        self.is_cut = False
        self._imports = imports
        self._calls = calls
        self._is_after = is_after

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._imports, name)

        async def counted(*arguments: Any, **named: Any) -> Any:
            self._calls -= 1
            if self._calls:
                return await call(*arguments, **named)
            if self._is_after:
                await call(*arguments, **named)
            self.is_cut = True
            return await asyncio.get_running_loop().create_future()

        return counted


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("calls", range(1, 13))
async def test_a_file_is_imported_once_wherever_the_process_ends(
    stack: ImportStack, folder: Path, calls: int, is_after: bool
) -> None:
    (folder / "links.txt").write_text(URLS)
    async with stack.make_service() as imports:
        cut = CutImports(imports, calls, is_after=is_after)
        watcher = make_watcher(stack, cut, folder)
        await wait_until(lambda: cut.is_cut or (folder / "done" / "links.txt").exists())
        await watcher.stop()
    async with watching(stack, folder):
        result = await read_result(folder, "done", "links.txt")
    # The records have each accepted download, also one whose caller was cancelled before it was told.
    accepted = await stack.database.history(HistoryFilter())
    assert sorted(row.request.url for row in accepted) == ["http://h/a.bin", "http://h/b.bin"]
    assert (result["total"], result["completed"]) == (2, 2)
    assert stack.stored() == []


async def test_records_that_are_unavailable_delay_a_file(
    stack: ImportStack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.watch.watcher.RETRY_SECONDS", 0.02)
    (folder / "links.txt").write_text(URLS)
    async with stack.make_service() as imports:
        failures = 3

        class Failing:
            def __getattr__(self, name: str) -> Any:
                async def call(*arguments: Any, **named: Any) -> Any:
                    nonlocal failures
                    if name == "upload" and failures:
                        failures -= 1
                        raise StoreUnavailableError("locked")
                    return await getattr(imports, name)(*arguments, **named)

                return call

        watcher = make_watcher(stack, Failing(), folder)
        await read_result(folder, "done", "links.txt")
        await watcher.stop()
    assert failures == 0


async def test_an_import_that_a_user_ends_is_a_failure(stack: ImportStack, folder: Path) -> None:
    stack.downloads.auto_complete = False
    async with watching(stack, folder) as imports:
        (folder / "links.txt").write_text(URLS)
        await wait_until(lambda: len(stack.downloads.requests) == 2)
        run = stack.downloads.requests[0].operation
        assert run is not None
        operation = await stack.records.operations.get(run)
        assert operation is not None
        for request in stack.downloads.requests:
            await stack.downloads.finish(request.id, State.CANCELLED)
        result = await read_result(folder, "failed", "links.txt")
        assert imports.active_operations == 0
    assert result["completed"] == 0
