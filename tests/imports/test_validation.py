"""Validation of the items that importers read."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from downloadd.import_operation import (
    FILES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportErrorCode,
    ImportItem,
    MessageCount,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.imports import validation
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.validation import ItemValidator, ValidItem, estimate_bytes, next_chunk
from downloadd.request_fields import RequestFields

ROOT = "/srv/files"


def skipped() -> SkippedEntry:
    return SkippedEntry(reason=SkipReason.DELETED, detail="gone")


def test_a_cancelled_validation_ends_at_the_next_item() -> None:
    validator = ItemValidator("Imports/x", ROOT)

    def endless() -> Iterator[ImportItem]:
        while True:
            yield MessageCount(count=1)
            validator.is_cancelled = validator.messages == 3

    assert list(validator.validate(endless())) == []
    assert validator.messages == 3


@pytest.mark.parametrize("name", ["MAX_ENTITIES", "MAX_ENTITIES_BYTES", "MAX_SKIPPED"])
def test_a_file_that_exceeds_a_limit_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    items: list[ImportItem] = [WorkspaceUser(user_id="u", username="ann"), skipped()] * 3
    assert len(list(ItemValidator("i", ROOT).validate(iter(items)))) == 6
    monkeypatch.setattr(validation, name, 2)
    with pytest.raises(ImportRefusedError) as refused:
        list(ItemValidator("i", ROOT).validate(iter(items)))
    assert refused.value.code is ImportErrorCode.FILE_TOO_LARGE


def test_a_channel_gets_the_directory_of_its_files() -> None:
    channels = [Channel(channel_id="a/b", name="Sales / UX"), Channel(channel_id="C2", name="")]
    found = [item for item in ItemValidator("i", ROOT).validate(iter(channels)) if isinstance(item, Channel)]
    assert [channel.directory for channel in found] == ["UX", "C2"]


def test_an_entry_that_is_too_long_is_skipped() -> None:
    validator = ItemValidator("i", ROOT)
    links = [
        FileLink(file_id=id, url="http://a/", channel_id="C", name=name)
        for id, name in (("1", "x" * 600_000), ("2", ""))
    ]
    assert [link.file_id for link in validator.validate(iter(links)) if isinstance(link, FileLink)] == ["2"]
    assert validator.skipped == 1


def test_the_estimated_size_of_an_item_is_that_of_its_texts() -> None:
    assert estimate_bytes(Channel(channel_id="C1", name="general")) == 9
    assert estimate_bytes(FileLink(file_id="a", url="http://a/", mirrors=("b", "\u00e4"))) == 1 + 9 + 1 + 4
    fields = RequestFields(headers=(("X-Key", "k" * 1000),))
    assert estimate_bytes(FileLink(file_id="a", request_fields=fields)) > 1000


def test_a_file_without_channel_gets_the_channel_of_files() -> None:
    validator = ItemValidator("i", ROOT)
    with_channel, without = FileLink(file_id="1", url="u", channel_id="C"), FileLink(file_id="2", url="u")
    assert list(validator.validate(iter([with_channel]))) == [with_channel]
    assert not validator.needs_files_channel
    [link] = validator.validate(iter([without]))
    assert isinstance(link, FileLink)
    assert link.channel_id == FILES_CHANNEL_ID
    assert validator.needs_files_channel


@pytest.mark.parametrize(
    ("field", "value"), [("directory", "../up"), ("name", "a/b"), ("checksum", "crc=1"), ("directory", "d" * 5000)]
)
def test_a_file_with_an_invalid_destination_or_checksum_is_skipped(field: str, value: str) -> None:
    validator = ItemValidator("i", ROOT)
    items: list[ImportItem] = [replace(FileLink(file_id="1", url="u"), **{field: value})]
    [entry] = validator.validate(iter(items))
    assert isinstance(entry, SkippedEntry)
    assert entry.reason is SkipReason.INVALID_NAME
    # Its operation has a channel to select all the same.
    assert (validator.skipped, validator.needs_files_channel) == (1, True)


def test_a_misplaced_url_is_not_logged_with_its_secret() -> None:
    link = FileLink(file_id="1", url="u", name="http://ann:s3cret@h.example/x")
    with capture_logs() as lines:
        entries = list(ItemValidator("i", ROOT).validate(iter([link])))
    assert [line["event"] for line in lines] == ["import_entry_skipped"]
    assert "s3cret" not in str((lines, entries))


def test_the_log_has_a_limited_number_of_skipped_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_SKIPPED_LOGGED", 2)
    validator = ItemValidator("i", ROOT)
    with capture_logs() as lines:
        assert len(list(validator.validate(iter([skipped()] * 5)))) == 5
    assert (len(lines), validator.skipped) == (2, 5)


def test_a_chunk_ends_at_its_limit_of_items_or_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_CHUNK_ITEMS", 3)
    monkeypatch.setattr(validation, "MAX_CHUNK_BYTES", 100)
    short: ValidItem = Channel(channel_id="C", name="")
    long: ValidItem = Channel(channel_id="C", name="x" * 99)
    items = iter([short, short, short, short, long, short])
    assert [len(next_chunk(items)) for _ in range(4)] == [3, 2, 1, 0]


def urls_of(links: list[FileLink]) -> list[tuple[str, bool]]:
    validated = ItemValidator("i", ROOT).validate(iter(links))
    return [(link.url, link.is_checksum_list) for link in validated if isinstance(link, FileLink)]


def test_a_list_of_checksums_is_recognized_by_the_name_in_its_url() -> None:
    links = [FileLink(file_id="1", url=f"https://h/d/{name}") for name in ("SHA256SUMS?x=1", "a.iso.sha256", "a.iso")]
    assert [is_list for _, is_list in urls_of(links)] == [True, True, False]


def test_a_list_of_checksums_that_is_given_by_its_url_is_downloaded_once() -> None:
    links = [FileLink(file_id=url, url=url, checksum="https://h/SUMS") for url in ("https://h/a", "https://h/b")]
    assert urls_of(links) == [("https://h/SUMS", True), ("https://h/a", False), ("https://h/b", False)]
    validated = [link for link in ItemValidator("i", ROOT).validate(iter(links)) if isinstance(link, FileLink)]
    assert [(link.checksum, link.checksum_list) for link in validated[1:]] == [(None, "https://h/SUMS")] * 2


def test_the_number_of_lists_of_checksums_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_CHECKSUM_LISTS", 1)
    with pytest.raises(ImportRefusedError, match="lists of checksums"):
        urls_of([FileLink(file_id="1", url="https://h/a", checksum=f"https://h/{n}") for n in range(2)])


@pytest.mark.parametrize("scheme", ["http", "HTTPS"])
def test_the_url_of_a_checksum_is_that_of_a_list(scheme: str) -> None:
    url = f"{scheme}://a.example/SHA256SUMS"
    link = FileLink(file_id="1", url="http://a.example/1", checksum=url, line=1)
    found = [item for item in ItemValidator("i", ROOT).validate(iter([link])) if isinstance(item, FileLink)]
    assert [(item.checksum, item.checksum_list) for item in found] == [(None, ""), (None, url)]


@pytest.mark.parametrize(("line", "entry"), [(None, "d/.."), (7, "")])
def test_an_invalid_name_is_reported_with_its_place(line: int | None, entry: str) -> None:
    link = FileLink(file_id="1", url="http://a.example/1", directory="d", name="..", line=line)
    [found] = ItemValidator("i", ROOT).validate(iter([link]))
    assert isinstance(found, SkippedEntry)
    assert (found.reason, found.entry, found.line) == ("invalid_name", entry, line)


@pytest.mark.parametrize(
    ("stated", "directory"),
    [
        ("/srv/files/films/new", "films/new"),
        ("/srv/files/", ""),
        ("//srv/files/films", "films"),
        ("/srv/filesystem", "/srv/filesystem"),
        ("/home/ann/films", "/home/ann/films"),
        ("srv/files/films", "srv/files/films"),
    ],
)
def test_an_absolute_directory_below_the_root_is_relative_to_it(stated: str, directory: str) -> None:
    link = FileLink(file_id="1", url="https://a.example/1", directory=stated)
    (valid,) = ItemValidator("i", ROOT).validate(iter([link]))
    assert isinstance(valid, FileLink)
    assert valid.directory == directory


def test_a_directory_below_the_root_is_checked_too() -> None:
    link = FileLink(file_id="1", url="https://a.example/1", directory="/srv/files/../x")
    (valid,) = ItemValidator("i", ROOT).validate(iter([link]))
    assert isinstance(valid, SkippedEntry)
