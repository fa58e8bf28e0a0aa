"""Files of an archive, whatever its format."""

from collections.abc import Iterator

import pytest

from downloadd.import_operation import ImportErrorCode, SkipReason
from downloadd.imports import archive_entries
from downloadd.imports.archive_entries import ArchiveEntries, check_name, format_name, report_unread
from downloadd.imports.refusal import ImportRefusedError


class Files(ArchiveEntries[bytes]):
    """Archive whose files are in memory; each declares that it has one byte."""

    def __init__(self, *members: tuple[str, bytes]) -> None:
        super().__init__()
        self.is_closed = False
        for name, content in members:
            self._add(name, content)

    def close(self) -> None:
        self.is_closed = True

    def size(self, name: str) -> int:
        return 1

    def position(self, name: str) -> int:
        return list(self._entries).index(name)

    def pieces(self, name: str) -> Iterator[bytes]:
        for byte in self._entries[name]:
            yield bytes((byte,))


def test_the_last_file_of_a_name_counts_and_the_others_are_reported() -> None:
    with Files(("a", b"1"), ("b", b"2"), ("a", b"3"), ("__MACOSX/a", b""), ("d/.DS_Store", b""), ("", b"")) as files:
        assert files.names == ("a", "b")
        assert ("a" in files, "c" in files) == (True, False)
        assert (files.read("a"), files.read("c")) == (b"3", b"")
        [report] = report_unread(files)
        assert (report.reason, report.entry) == (SkipReason.DUPLICATE_ENTRY, "a")
    assert files.is_closed


def test_a_file_that_is_longer_than_declared_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_entries, "MAX_ENTRY_BYTES", 3)
    files = Files(("a", b"123"), ("b", b"1234"))
    assert files.read("a") == b"123"
    with pytest.raises(ImportRefusedError) as caught:
        files.read("b")
    assert caught.value.code is ImportErrorCode.FILE_TOO_LARGE


@pytest.mark.parametrize("name", ["/a", "../a", "a/../../b", "c:/a", "a\\..\\b", "a\0", "a" * 5000])
def test_a_name_that_is_too_long_or_leads_outside_is_refused(name: str) -> None:
    with pytest.raises(ImportRefusedError):
        check_name(name)
    assert len(format_name(name)) < 120
