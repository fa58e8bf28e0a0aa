"""Thread that reads uploaded files."""

import asyncio
import threading
from pathlib import Path

import pytest

from downloadd.import_operation import FileLink
from downloadd.imports.reader_thread import BytesRead, ReaderThread, read_items
from downloadd.imports.refusal import ImportRefusedError


def test_the_items_of_a_file_are_those_of_its_importer(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("http://a/1\nhttp://a/2\n")
    count = BytesRead()
    items = list(read_items("urls", file, count))
    assert [item.url for item in items if isinstance(item, FileLink)] == ["http://a/1", "http://a/2"]
    assert count.value >= file.stat().st_size


def test_a_file_of_an_importer_that_no_longer_exists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("http://a/1\n")
    with pytest.raises(ImportRefusedError):
        list(read_items("hipchat", tmp_path / "list", BytesRead()))


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        list(read_items("urls", tmp_path / "nothing", BytesRead()))


async def test_a_probe_reads_the_beginning_only(tmp_path: Path) -> None:
    thread = ReaderThread()
    (tmp_path / "good").write_text("http://a/1\n" * 3)
    (tmp_path / "bad").write_text("nothing\n")
    await thread.probe("urls", tmp_path / "good")
    with pytest.raises(ImportRefusedError):
        await thread.probe("slack", tmp_path / "bad")
    thread.close()


async def test_cancelled_work_ends_before_later_work_begins() -> None:
    thread, release, order = ReaderThread(), threading.Event(), list[str]()

    def slow() -> None:
        release.wait()
        order.append("slow")

    first = asyncio.create_task(thread.run(slow))
    await asyncio.sleep(0)
    first.cancel()
    second = asyncio.create_task(thread.run(order.append, "second"))
    await asyncio.sleep(0)
    release.set()
    await second
    assert order == ["slow", "second"]
    thread.close()
