"""What an import makes of its entries, and of the file that was fetched for it."""

import hashlib
from collections.abc import AsyncIterator, Iterator

import pytest
from support.downloads import make_download

from downloadd.download import Download
from downloadd.errors import StorageError
from downloadd.import_operation import Channel, FileLink, ImportItem, MessageCount, SkippedEntry, WorkspaceUser
from downloadd.imports import service
from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.imports.service import ItemValidator, estimate_bytes, verify_fetched

CONTENT = b"what was fetched"


async def pieces(*given: bytes | Exception) -> AsyncIterator[bytes]:
    for piece in given:
        if isinstance(piece, Exception):
            raise piece
        yield piece


def download(checksum: str | None) -> Download:
    return make_download(
        id="1",
        user="u",
        url="http://a/",
        redacted_url="http://a/",
        host="a",
        directory="Imports",
        filename="x",
        timeout=0,
        start_time=0,
        received=len(CONTENT),
        checksum=checksum,
    )


SHA_256 = f"sha-256={hashlib.sha256(CONTENT).hexdigest()}"
CHECKSUMS = pytest.mark.parametrize("checksum", [None, SHA_256, "md5=00"])


@CHECKSUMS
async def test_what_was_fetched_is_read(checksum: str | None) -> None:
    read = [piece async for piece in verify_fetched(pieces(CONTENT[:5], CONTENT[5:]), download(checksum))]
    assert b"".join(read) == CONTENT


@CHECKSUMS
@pytest.mark.parametrize("other", [CONTENT + b"!", CONTENT[:-1], b""])
async def test_a_file_of_another_length_in_its_place_is_refused(checksum: str | None, other: bytes) -> None:
    with pytest.raises(ImportRefusedError, match="another file"):
        assert [piece async for piece in verify_fetched(pieces(other), download(checksum))]


async def test_a_file_of_another_content_in_its_place_is_refused() -> None:
    with pytest.raises(ImportRefusedError, match="another file"):
        assert [piece async for piece in verify_fetched(pieces(CONTENT[::-1]), download(SHA_256))]


async def test_a_file_that_is_gone_fails_the_import_and_is_not_waited_for() -> None:
    with pytest.raises(ImportRefusedError, match="cannot be read"):
        assert [piece async for piece in verify_fetched(pieces(StorageError("it is gone")), download(None))]


def test_a_reader_that_nobody_waits_for_ends_at_its_next_entry() -> None:
    validator = ItemValidator("Imports/x")

    def endless() -> Iterator[ImportItem]:
        while True:
            yield MessageCount(count=1)
            validator.is_cancelled = validator.messages == 3

    assert list(validator.validate(endless())) == []
    assert validator.messages == 3


@pytest.mark.parametrize("name", ["MAX_ENTITIES", "MAX_ENTITIES_BYTES", "MAX_SKIPPED"])
def test_a_file_that_says_too_much_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    items: list[ImportItem] = [WorkspaceUser(user_id="u", username="ann"), SkippedEntry(reason="x")] * 3
    assert len(list(ItemValidator("i").validate(iter(items)))) == 3
    monkeypatch.setattr(service, name, 2)
    with pytest.raises(ImportRefusedError) as refused:
        list(ItemValidator("i").validate(iter(items)))
    assert refused.value.code is RefusalCode.FILE_TOO_LARGE


def test_an_entry_that_is_too_long_costs_no_other() -> None:
    validator = ItemValidator("i")
    links = [
        FileLink(file_id=id, url="http://a/", channel_id="C", name=name)
        for id, name in (("1", "x" * 600_000), ("2", ""))
    ]
    assert [link.file_id for link in validator.validate(iter(links)) if isinstance(link, FileLink)] == ["2"]
    assert validator.skipped == 1


def test_the_weight_of_an_entry_is_that_of_its_texts() -> None:
    assert estimate_bytes(Channel(channel_id="C1", name="general")) == 9
    assert estimate_bytes(FileLink(file_id="a", url="http://a/", mirrors=("b", "\u00e4"))) == 1 + 9 + 1 + 4
