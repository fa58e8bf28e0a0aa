"""Messages of S3."""

from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.remote_upload import UploadedPart
from downloadd.storage.objects import messages
from downloadd.storage.objects.messages import ListedObject

PARSERS: Final[Sequence[Callable[[bytes], object]]] = (
    messages.parse_etag,
    messages.parse_objects,
    messages.parse_parts,
    messages.parse_upload_id,
    messages.parse_uploads,
)
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def test_an_error_has_code_and_message() -> None:
    error = messages.parse_error(b"<Error><Code>NoSuchKey</Code><Message>No &amp; no</Message></Error>")
    assert (error.code, error.message) == ("NoSuchKey", "No & no")


@pytest.mark.parametrize("content", [b"", b"<html/>", b"\xff", b"<Error>"])
def test_other_content_is_an_error_without_a_code(content: bytes) -> None:
    assert messages.parse_error(content) == messages.ErrorMessage()


def test_a_message_is_read_with_and_without_a_namespace() -> None:
    for namespace in ("", NAMESPACE):
        root = f"<InitiateMultipartUploadResult {namespace}><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
        assert messages.parse_upload_id(root.encode()) == "u1"
        root = f"<CompleteMultipartUploadResult {namespace}><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>"
        assert messages.parse_etag(root.encode()) == "e"


def test_lists_are_read() -> None:
    objects = (
        f"<ListBucketResult {NAMESPACE}><Contents><Key>a</Key><Size>7</Size>"
        "<LastModified>2024-01-31T12:00:00.000Z</LastModified>"
        "</Contents><Contents><Key>b</Key></Contents>"
        "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes><NextContinuationToken>t</NextContinuationToken>"
        "</ListBucketResult>"
    )
    assert messages.parse_objects(objects.encode()) == messages.ListedPage(
        objects=[ListedObject(key="a", size=7, modified=1_706_702_400), ListedObject(key="b")],
        prefixes=["c/"],
        next_token="t",
    )
    uploads = (
        f"<ListMultipartUploadsResult {NAMESPACE}><Upload><Key>k</Key><UploadId>u</UploadId>"
        "<Initiated>2024-01-31T12:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"
    )
    assert messages.parse_uploads(uploads.encode()) == [
        messages.ListedUpload(key="k", upload_id="u", initiated="2024-01-31T12:00:00.000Z")
    ]


@pytest.mark.parametrize("number", ["x", ""])
def test_a_part_without_a_number_is_refused(number: str) -> None:
    content = f"<ListPartsResult><Part><PartNumber>{number}</PartNumber></Part></ListPartsResult>"
    with pytest.raises(messages.MalformedMessageError, match="number"):
        messages.parse_parts(content.encode())


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "cccc">]><ListBucketResult><NextContinuationToken>&b;</NextContinuationToken>'
    with pytest.raises(messages.MalformedMessageError, match="document type"):
        messages.parse_objects(bomb)


def test_an_answer_without_an_upload_id_is_refused() -> None:
    with pytest.raises(messages.MalformedMessageError, match="UploadId"):
        messages.parse_upload_id(b"<InitiateMultipartUploadResult/>")


def test_the_parts_of_an_upload_are_listed_with_their_checksums() -> None:
    content = messages.format_parts([UploadedPart(number=1, etag="e", checksum="c=")])
    assert b'<Part><PartNumber>1</PartNumber><ETag>"e"</ETag><ChecksumSHA256>c=</ChecksumSHA256></Part>' in content


@given(st.binary())
def test_any_content_is_read_or_refused(content: bytes) -> None:
    messages.parse_error(content)
    for parse in (
        messages.parse_parts,
        messages.parse_upload_id,
        messages.parse_etag,
        messages.parse_objects,
        messages.parse_uploads,
    ):
        with pytest.raises(messages.MalformedMessageError):
            parse(content)
