"""7z and RAR archives, which another process reads, and processes that misbehave."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from support.packed_archives import make_7z, make_rar

from downloadd.hooks.unpacked_archive import LibraryMissingError, UnpackedArchive, UnpackLimits, find_format
from downloadd.imports import archive_entries
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError

FILES = {"a.txt": b"a" * 300_000, "d\\b.txt": b"b", "empty": b"", "ü/名.txt": b"x", "link": b"/etc/passwd"}
CONTENTS = {name.replace("\\", "/"): content for name, content in FILES.items() if name != "link"}


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[bytes], BinaryIO]:
    def save(content: bytes) -> BinaryIO:
        (tmp_path / "archive").write_bytes(content)
        return (tmp_path / "archive").open("rb")

    return save


def open_with(file: BinaryIO, **limits: object) -> UnpackedArchive:
    format = find_format(file)
    assert format is not None
    return UnpackedArchive(file, format, limits=UnpackLimits(**limits))  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [lambda: make_7z(FILES, links=["link"]), lambda: make_rar(FILES)], ids=["7z", "rar"])
def test_files_are_read_in_any_order(saved: Callable[[bytes], BinaryIO], make: Callable[[], bytes]) -> None:
    with saved(make()) as file, open_with(file) as archive:
        assert [name for name in archive.names if name != "link"] == list(CONTENTS)
        in_order = {name: b"".join(archive.pieces(name)) for name in CONTENTS}
        assert in_order == CONTENTS
        assert [len(in_order[name]) for name in CONTENTS] == [archive.size(name) for name in CONTENTS]
        # Back to the first one, which is left in the middle.
        assert next(archive.pieces("a.txt")).strip(b"a") == b""
        assert b"".join(archive.pieces("ü/名.txt")) == b"x"
        assert list(archive.pieces("missing")) == []


def test_links_are_no_files(saved: Callable[[bytes], BinaryIO]) -> None:
    with saved(make_7z(FILES, links=["link"])) as file, open_with(file) as archive:
        assert archive.specials == ["link"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(make_rar({"a": b"0123456789"}, declared=5), "longer than the archive declares", id="longer"),
        pytest.param(make_rar({"a": b"0123456789"}, declared=50), "the last 40 bytes are missing", id="shorter"),
    ],
)
def test_an_entry_with_other_content_than_declared_is_damaged(
    saved: Callable[[bytes], BinaryIO], content: bytes, reason: str
) -> None:
    with saved(content) as file, open_with(file) as archive, pytest.raises(DamagedEntryError, match=reason):
        list(archive.pieces("a"))


def test_an_archive_with_too_many_entries_is_refused(
    saved: Callable[[bytes], BinaryIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.hooks.unpacked_archive.MAX_ENTRIES", 2)
    with saved(make_rar({"a": b"", "b": b"", "c": b""})) as file, pytest.raises(ImportRefusedError, match="entries"):
        open_with(file)


def test_an_archive_with_a_long_name_is_refused(saved: Callable[[bytes], BinaryIO]) -> None:
    name = "x" * (archive_entries.MAX_NAME_CHARACTERS + 1)
    with saved(make_7z({name: b"x"})) as file, pytest.raises(ImportRefusedError, match="too long"):
        open_with(file)


@pytest.mark.parametrize(
    ("program", "error", "reason"),
    [
        ("import time; time.sleep(99)", ImportRefusedError, "did not answer for 0.2 seconds"),
        ("import os; os.kill(os.getpid(), 9)", ImportRefusedError, "it may need more than 60 seconds"),
        ("import os; os.abort()", ImportRefusedError, "was ended by SIGABRT"),
        ("raise SystemExit(3)", ImportRefusedError, "ended with code 3"),
        ("print('Z' + 9 * '\\0')", ImportRefusedError, "unexpected answer"),
        ("print('E\\xff\\xff\\xff\\xff' + 'x' * 99)", ImportRefusedError, "unexpected answer"),
        ("print('M\\0\\0\\0\\1x')", LibraryMissingError, "pip install 'downloadd"),
    ],
)
def test_a_process_that_misbehaves_is_killed_and_its_archive_refused(
    saved: Callable[[bytes], BinaryIO], tmp_path: Path, program: str, error: type[Exception], reason: str
) -> None:
    path = tmp_path / "program.py"
    path.write_text(f"import sys; sys.stdout.reconfigure(encoding='latin-1')\n{program}\n")
    silence = 0.2 if "sleep" in program else 60.0
    with saved(make_7z({"a": b"x"})) as file, pytest.raises(error, match=reason):
        open_with(file, silence_seconds=silence, program=str(path))


def test_closing_ends_a_process_that_another_thread_waits_for(
    saved: Callable[[bytes], BinaryIO], tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        "import os, sys, time\n"
        "if sys.argv[2] == 'list':\n"
        '    entry = b\'{"name": "a", "size": 1, "kind": "file"}\'\n'
        "    sys.stdout.buffer.write(b'E\\0\\0\\0' + bytes((len(entry),)) + entry + b'.\\0\\0\\0\\0')\n"
        "else:\n"
        f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(99)\n"
    )
    failed: list[BaseException] = []

    def read(archive: UnpackedArchive) -> None:
        try:
            list(archive.pieces("a"))
        except DamagedEntryError as error:
            failed.append(error)

    with saved(make_7z({"a": b"x"})) as file:
        archive = open_with(file, program=str(path))
        thread = threading.Thread(target=read, args=(archive,))
        thread.start()
        while not (tmp_path / "pid").exists():
            time.sleep(0.002)
        archive.close()
        thread.join()
    assert "SIGKILL" not in str(failed)
    assert len(failed) == 1
