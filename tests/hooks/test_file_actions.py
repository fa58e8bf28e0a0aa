"""Extraction and move of the files of completed downloads, on a real storage."""

import asyncio
import bz2
import gzip
import io
import lzma
import stat
import tarfile
import threading
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pytest
from records.contract import NOW, sample_download
from support.downloads import with_fields
from support.file_tree import contents_below
from support.packed_archives import FOUR_GIB, make_7z, make_rar

from downloadd.config import HookConfig
from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.errors import NotOnDiskError
from downloadd.hooks.file_actions import FileActions, FileSource
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.rules import encode_message
from downloadd.hooks.unpacked_archive import LibraryMissingError
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename

EXTRACT = HookConfig(name="x", extract=True)
FILES = {"a.txt": b"a" * 100_000, "d/b.txt": b"b"}


class Library:
    """Storage with completed downloads."""

    def __init__(self, destination: LocalDestination, root: Path) -> None:
        self.destination = destination
        self.root = root
        self.downloads: dict[str, Download] = {}
        self.actions = FileActions()
        self.actions.source.set_result(
            FileSource(find=self.find, files=destination.finished_files, destination=destination)
        )

    async def find(self, id: str) -> Download | None:
        return self.downloads.get(id)

    async def publish(self, name: str, content: bytes, directory: str = "d") -> Delivery:
        """Save a completed download; return the message about it."""
        download = with_fields(
            sample_download(), state=State.COMPLETED, filename=name, directory=directory, ended_seq=1, end_time=int(NOW)
        )
        filename = parse_filename(name)
        part = await self.destination.open_part(
            directory=directory, filename=filename, download_id=download.id, epoch=1, existing=None
        )
        await part.write([content], 0)
        assert await part.publish(filename, replace=True, last_modified=1_000_000_000)
        download = with_fields(download, file_identity=part.file_identity)
        self.downloads[download.id] = download
        body = encode_message(download, "event")
        return Delivery(event_id="event", hook="x", download_id=download.id, body=body, created=NOW, due=NOW)


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    async with LocalDestination(tmp_path / "root", min_free=0, fsync=False) as destination:
        yield Library(destination, tmp_path / "root")


class _Remote:
    """A file in object storage."""

    def duplicate(self) -> BinaryIO:
        raise NotOnDiskError("a.zip is in object storage")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        pass


async def test_a_file_in_object_storage_is_not_tried_again(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = await library.publish("a.zip", b"zip")

    async def open_remote(**options: object) -> _Remote:
        return _Remote()

    monkeypatch.setattr(library.destination.finished_files, "open", open_remote)
    assert await library.actions.extract(EXTRACT, delivery) == DeliveryFailed(
        reason="a.zip is in object storage", permanent=True
    )


def make_tar(files: dict[str, bytes] = FILES) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_zip(files: dict[str, bytes] = FILES, **attributes: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.zip", make_zip),
        ("x.tar", make_tar),
        ("x.tgz", lambda: gzip.compress(make_tar())),
        ("x.tar.bz2", lambda: bz2.compress(make_tar())),
        ("x.tar.xz", lambda: lzma.compress(make_tar())),
        ("x.7z", lambda: make_7z(FILES)),
        ("x.rar", lambda: make_rar(FILES)),
    ],
)
async def test_an_archive_is_extracted_beside_itself(library: Library, name: str, make: Callable[[], bytes]) -> None:
    content = make()
    delivery = await library.publish(name, content)
    assert await library.actions.extract(EXTRACT, delivery) == Delivered(answer="2 files in d/x")
    assert contents_below(library.root / "d") == {
        name: content,
        "x/a.txt": FILES["a.txt"],
        "x/d/b.txt": FILES["d/b.txt"],
    }


async def test_an_archive_with_the_name_of_a_reserved_path_is_extracted_beside_it(library: Library) -> None:
    delivery = await library.publish("api.zip", make_zip(), directory="")
    assert await library.actions.extract(EXTRACT, delivery) == Delivered(answer="2 files in _api")


async def test_an_extraction_that_is_repeated_changes_nothing(library: Library) -> None:
    delivery = await library.publish("x.zip", make_zip())
    for _ in range(2):
        assert isinstance(await library.actions.extract(EXTRACT, delivery), Delivered)
    assert len(contents_below(library.root / "d" / "x")) == 2


async def test_other_files_in_the_directory_stay(library: Library) -> None:
    (library.root / "d" / "x").mkdir(parents=True)
    (library.root / "d" / "x" / "a.txt").write_bytes(b"mine")
    await library.actions.extract(EXTRACT, await library.publish("x.zip", make_zip()))
    found = contents_below(library.root / "d" / "x")
    assert found["a.txt"] == b"mine"
    assert found["a (1).txt"] == FILES["a.txt"]


async def test_an_extraction_that_is_repeated_finds_the_files_that_got_numbers(library: Library) -> None:
    (library.root / "d" / "x").mkdir(parents=True)
    (library.root / "d" / "x" / "a.txt").write_bytes(b"mine")
    delivery = await library.publish("x.zip", make_zip({"a.txt": b"1", "aa:b": b"2", "aa*b": b"3"}))
    for _ in range(3):
        await library.actions.extract(EXTRACT, delivery)
    assert contents_below(library.root / "d" / "x") == {
        "a.txt": b"mine",
        "a (1).txt": b"1",
        "aa_b": b"2",
        "aa_b (1)": b"3",
    }


async def test_the_archive_is_removed_on_request(library: Library) -> None:
    hook = HookConfig(name="x", extract=True, remove_archive=True)
    delivery = await library.publish("x.zip", make_zip())
    assert isinstance(await library.actions.extract(hook, delivery), Delivered)
    assert set(contents_below(library.root / "d")) == {"x/a.txt", "x/d/b.txt"}
    assert await library.actions.extract(hook, delivery) == Delivered(answer="the file is not there any more")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"no archive", "cannot be extracted", id="text"),
        pytest.param(make_zip()[:-30], "truncated", id="truncated"),
        pytest.param(make_zip({"../../etc/passwd": b"x"}), "leads outside", id="dot segments"),
        pytest.param(make_zip({"/etc/passwd": b"x"}), "leads outside", id="absolute"),
        pytest.param(make_zip({"C:/x": b"x"}), "leads outside", id="drive"),
    ],
)
async def test_a_bad_archive_is_given_up_with_the_reason(library: Library, content: bytes, reason: str) -> None:
    outcome = await library.actions.extract(EXTRACT, await library.publish("x.zip", content))
    assert isinstance(outcome, DeliveryFailed)
    assert outcome.permanent
    assert reason in outcome.reason
    assert set(contents_below(library.root)) <= {"d/x.zip", ".downloadd-root"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(make_7z({"a": b"a" * 99})[:-20], "7-Zip", id="truncated"),
        pytest.param(make_rar({"ok": b"x", "../../etc/passwd": b"x"}), "leads outside", id="dot segments"),
        pytest.param(make_7z({"/etc/passwd": b"x"}), "leads outside", id="absolute"),
        pytest.param(make_7z({"big": b"x" * 100_001}), "more than max_extracted_size (100000)", id="bomb"),
        pytest.param(make_7z({"a": b"a" * 99}, dictionary=FOUR_GIB), "memory", id="dictionary"),
    ],
)
async def test_a_bad_archive_of_another_process_is_given_up_with_the_reason(
    library: Library, content: bytes, reason: str
) -> None:
    hook = HookConfig(name="x", extract=True, max_extracted_size=100_000)
    outcome = await library.actions.extract(hook, await library.publish("x.7z", content))
    assert isinstance(outcome, DeliveryFailed)
    assert outcome.permanent
    assert reason in outcome.reason
    assert set(contents_below(library.root)) <= {"d/x.7z", ".downloadd-root"}


async def test_without_its_library_an_archive_is_tried_again(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: BinaryIO, format: str) -> None:
        raise LibraryMissingError

    monkeypatch.setattr("downloadd.hooks.extraction.UnpackedArchive", refuse)
    outcome = await library.actions.extract(EXTRACT, await library.publish("x.7z", make_7z(FILES)))
    assert isinstance(outcome, DeliveryFailed)
    assert not outcome.permanent
    assert "libarchive13" in outcome.reason


async def test_names_that_are_reserved_are_made_safe(library: Library) -> None:
    name = f".a.{sample_download().id}.1.part"
    delivery = await library.publish("x.zip", make_zip({name: b"x", "nul ": b"y", "c\n/e": b"z"}))
    assert await library.actions.extract(EXTRACT, delivery) == Delivered(answer="3 files in d/x")
    assert sorted(contents_below(library.root / "d" / "x").values()) == [b"x", b"y", b"z"]
    assert not [each async for each in library.destination.list_parts()]


async def test_links_are_left_out(library: Library) -> None:
    delivery = await library.publish("x.zip", make_zip({"l": b"/etc"}, external_attr=(stat.S_IFLNK | 0o777) << 16))
    assert await library.actions.extract(EXTRACT, delivery) == Delivered(answer="0 files in d/x, 1 left out")


async def test_a_zip_bomb_is_refused_before_anything_is_written(library: Library) -> None:
    hook = HookConfig(name="x", extract=True, max_extracted_size=100_000)
    outcome = await library.actions.extract(hook, await library.publish("x.zip", make_zip()))
    assert isinstance(outcome, DeliveryFailed)
    assert "100001 bytes together, more than max_extracted_size (100000)" in outcome.reason
    assert not (library.root / "d" / "x").exists()


async def test_a_packed_tar_bomb_is_refused_before_it_is_unpacked_to_find_its_files(library: Library) -> None:
    info = tarfile.TarInfo("big")
    info.size = 1 << 40
    hook = HookConfig(name="x", extract=True, max_extracted_size=100_000)
    outcome = await library.actions.extract(hook, await library.publish("x.tgz", gzip.compress(info.tobuf())))
    assert isinstance(outcome, DeliveryFailed)
    assert "unpacks to more than 1 GiB" in outcome.reason


async def test_a_file_moves_to_the_directory_of_its_template(library: Library, tmp_path: Path) -> None:
    hook = HookConfig(name="x", move_to=f"{tmp_path}/archive/{{directory}}/{{year}}")
    delivery = await library.publish("a.bin", b"content")
    year = tmp_path / "archive" / "d"
    outcome = await library.actions.move(hook, delivery)
    assert isinstance(outcome, Delivered)
    [path] = year.rglob("a.bin")
    assert outcome.answer == f"moved to {path}"
    assert path.read_bytes() == b"content"
    assert not (library.root / "d" / "a.bin").exists()
    assert await library.actions.move(hook, delivery) == Delivered(answer="the file is not there any more")


async def test_a_file_that_is_in_its_new_directory_already_stays(library: Library) -> None:
    delivery = await library.publish("a.bin", b"content")
    outcome = await library.actions.move(HookConfig(name="x", move_to=f"{library.root}/{{directory}}"), delivery)
    assert outcome == Delivered(answer=f"it is in {library.root}/d already")
    assert (library.root / "d" / "a.bin").read_bytes() == b"content"


async def test_a_file_that_another_program_replaced_stays(library: Library, tmp_path: Path) -> None:
    delivery = await library.publish("a.bin", b"content")
    (library.root / "d" / "a.bin").write_bytes(b"other")
    outcome = await library.actions.move(HookConfig(name="x", move_to=str(tmp_path / "archive")), delivery)
    assert isinstance(outcome, DeliveryFailed)
    assert outcome.permanent
    assert (library.root / "d" / "a.bin").read_bytes() == b"other"


async def test_a_directory_that_is_away_is_tried_again(library: Library, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    delivery = await library.publish("a.bin", b"content")
    outcome = await library.actions.move(HookConfig(name="x", move_to=f"{tmp_path}/file/archive"), delivery)
    assert outcome == DeliveryFailed(reason="Not a directory")
    assert (library.root / "d" / "a.bin").exists()


async def test_a_download_that_the_history_has_not_is_given_up(library: Library) -> None:
    delivery = await library.publish("x.zip", make_zip())
    library.downloads.clear()
    outcome = await library.actions.extract(EXTRACT, delivery)
    assert isinstance(outcome, DeliveryFailed)
    assert outcome.permanent


async def test_actions_end_before_the_storage_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_running, can_end = threading.Event(), threading.Event()

    def block(*_: object, **__: object) -> None:
        is_running.set()
        can_end.wait()

    monkeypatch.setattr("downloadd.hooks.extraction.open_archive", block)
    async with LocalDestination(tmp_path / "root", min_free=0, fsync=False) as destination:
        library = Library(destination, tmp_path / "root")
        delivery = await library.publish("x.zip", make_zip())
        tasks = [asyncio.create_task(library.actions.extract(EXTRACT, delivery)) for _ in range(2)]
        await asyncio.to_thread(is_running.wait)
        await library.actions.close()
        later = asyncio.create_task(library.actions.extract(EXTRACT, delivery))
        can_end.set()
    assert all(task.cancelled() for task in tasks)
    later.cancel()
    await asyncio.gather(later, return_exceptions=True)
    assert later.cancelled()


async def test_actions_wait_until_the_storage_is_open(library: Library) -> None:
    actions = FileActions()
    delivery = await library.publish("x.zip", make_zip())
    task = asyncio.create_task(actions.extract(EXTRACT, delivery))
    await asyncio.sleep(0)
    assert not task.done()
    actions.source.set_result(await library.actions.source)
    assert isinstance(await task, Delivered)


async def test_a_file_that_moves_into_its_own_directory_through_another_mount_stays(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As for a mount with numbers of its own, which a test cannot make.
    monkeypatch.setattr("downloadd.hooks.relocation._has_name", lambda file, path: False)
    delivery = await library.publish("a.bin", b"content")
    outcome = await library.actions.move(HookConfig(name="x", move_to=str(library.root / "d")), delivery)
    assert outcome == Delivered(answer=f"it is in {library.root / 'd'} already")
    assert contents_below(library.root / "d") == {"a.bin": b"content"}
