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
    WorkspaceUser,
)
from downloadd.imports import validation
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.validation import ItemValidator, ValidItem, estimate_bytes, next_chunk


def test_a_cancelled_validation_ends_at_the_next_item() -> None:
    validator = ItemValidator("Imports/x")

    def endless() -> Iterator[ImportItem]:
        while True:
            yield MessageCount(count=1)
            validator.is_cancelled = validator.messages == 3

    assert list(validator.validate(endless())) == []
    assert validator.messages == 3


@pytest.mark.parametrize("name", ["MAX_ENTITIES", "MAX_ENTITIES_BYTES", "MAX_SKIPPED"])
def test_a_file_that_exceeds_a_limit_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    items: list[ImportItem] = [WorkspaceUser(user_id="u", username="ann"), SkippedEntry(reason="x")] * 3
    assert len(list(ItemValidator("i").validate(iter(items)))) == 3
    monkeypatch.setattr(validation, name, 2)
    with pytest.raises(ImportRefusedError) as refused:
        list(ItemValidator("i").validate(iter(items)))
    assert refused.value.code is ImportErrorCode.FILE_TOO_LARGE


def test_an_entry_that_is_too_long_is_skipped() -> None:
    validator = ItemValidator("i")
    links = [
        FileLink(file_id=id, url="http://a/", channel_id="C", name=name)
        for id, name in (("1", "x" * 600_000), ("2", ""))
    ]
    assert [link.file_id for link in validator.validate(iter(links)) if isinstance(link, FileLink)] == ["2"]
    assert validator.skipped == 1


def test_the_estimated_size_of_an_item_is_that_of_its_texts() -> None:
    assert estimate_bytes(Channel(channel_id="C1", name="general")) == 9
    assert estimate_bytes(FileLink(file_id="a", url="http://a/", mirrors=("b", "\u00e4"))) == 1 + 9 + 1 + 4


def test_a_file_without_channel_gets_the_channel_of_files() -> None:
    validator = ItemValidator("i")
    with_channel, without = FileLink(file_id="1", url="u", channel_id="C"), FileLink(file_id="2", url="u")
    assert list(validator.validate(iter([with_channel]))) == [with_channel]
    assert not validator.has_files_without_channel
    [link] = validator.validate(iter([without]))
    assert isinstance(link, FileLink)
    assert link.channel_id == FILES_CHANNEL_ID
    assert validator.has_files_without_channel


@pytest.mark.parametrize(
    ("field", "value"), [("directory", "../up"), ("name", "a/b"), ("checksum", "crc=1"), ("directory", "d" * 5000)]
)
def test_a_file_with_an_invalid_destination_or_checksum_is_skipped(field: str, value: str) -> None:
    validator = ItemValidator("i")
    items: list[ImportItem] = [replace(FileLink(file_id="1", url="u"), **{field: value})]
    assert list(validator.validate(iter(items))) == []
    assert (validator.skipped, validator.has_files_without_channel) == (1, False)


def test_a_misplaced_url_is_not_logged_with_its_secret() -> None:
    link = FileLink(file_id="1", url="u", name="http://ann:s3cret@h.example/x")
    with capture_logs() as lines:
        assert list(ItemValidator("i").validate(iter([link]))) == []
    assert [line["event"] for line in lines] == ["import_entry_skipped"]
    assert "s3cret" not in str(lines)


def test_the_log_has_a_limited_number_of_skipped_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_SKIPPED_LOGGED", 2)
    validator = ItemValidator("i")
    with capture_logs() as lines:
        assert list(validator.validate(iter([SkippedEntry(reason="x")] * 5))) == []
    assert (len(lines), validator.skipped) == (2, 5)


def test_a_chunk_ends_at_its_limit_of_items_or_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_CHUNK_ITEMS", 3)
    monkeypatch.setattr(validation, "MAX_CHUNK_BYTES", 100)
    short: ValidItem = Channel(channel_id="C", name="")
    long: ValidItem = Channel(channel_id="C", name="x" * 99)
    items = iter([short, short, short, short, long, short])
    assert [len(next_chunk(items)) for _ in range(4)] == [3, 2, 1, 0]
