"""Metadata of uploaded files."""

from hypothesis import given
from hypothesis import strategies as st

from downloadd.storage.objects.client import ObjectHead
from downloadd.storage.objects.description import (
    DEFAULT_TYPE,
    MAX_URL_BYTES,
    describe_found,
    format_identity,
    is_own,
    make_content_type,
    make_metadata,
    parse_identity,
)
from downloadd.storage.remote.remote_storage import FileDescription


def test_the_time_is_there_for_people_and_for_programs() -> None:
    metadata = make_metadata(FileDescription(), download_id="i", sha256="0", last_modified=-1)
    assert metadata == {
        "download-id": "i",
        "sha256": "0",
        "last-modified": "1969-12-31T23:59:59Z",
        "mtime": "-1",
    }
    assert "mtime" not in make_metadata(FileDescription(), download_id="i", sha256="0", last_modified=2**62)


def test_a_url_that_does_not_fit_is_left_out() -> None:
    long = FileDescription(source_url=f"https://example.com/{'a' * MAX_URL_BYTES}")
    assert "source-url" not in make_metadata(long, download_id="i", sha256="0", last_modified=None)


@given(st.text(), st.text(), st.none() | st.integers())
def test_anything_can_be_sent_as_fields(url: str, content_type: str, last_modified: int | None) -> None:
    if not url.isascii():
        url = url.encode(errors="replace").decode()
    description = FileDescription(source_url=url, content_type=content_type)
    metadata = make_metadata(description, download_id="i", sha256="0", last_modified=last_modified)
    for text in (*metadata.values(), make_content_type(description)):
        assert text.isascii()
        assert text.isprintable()


def test_a_type_that_is_none_is_a_general_one() -> None:
    assert make_content_type(FileDescription(content_type="text/plain")) == "text/plain"
    assert make_content_type(FileDescription(content_type="a\nb")) == DEFAULT_TYPE


def test_an_object_is_recognised_by_download_entity_tag_or_checksum() -> None:
    head = ObjectHead(size=1, etag="e", modified=0.0, metadata={"download-id": "i", "sha256": "0"})
    assert is_own(head.metadata, download_id="i")
    assert is_own(head.metadata, download_id="i", sha256="0")
    assert not is_own(head.metadata, download_id="j")
    assert not is_own(head.metadata, download_id="i", sha256="1")
    assert parse_identity(format_identity("e")) == "e"
    assert format_identity("") == ""
    assert parse_identity(format_identity("")) is None
    found = describe_found(head)
    assert (found.size, found.identity, found.sha256) == (1, "object:e", "0")
