"""Messages of S3 as XML: errors, the list of the parts of an upload, lists of objects and of uploads.

Entities are not expanded: no answer needs them. Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from xml.etree import ElementTree as ET

import msgspec

from downloadd.remote_upload import UploadedPart

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


class MalformedMessageError(ValueError):
    """Content that is not the expected message."""


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a response that reports an error."""

    code: str = ""
    """Such as `NoSuchBucket`; "" if there is none."""
    message: str = ""


class ListedUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A multipart upload that is neither completed nor aborted."""

    key: str
    upload_id: str
    initiated: str
    """Time of its start in UTC, as in `2024-01-31T12:00:00.000Z`."""


class ListedParts(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the parts of an upload."""

    etags: Mapping[int, str]
    """Entity tags, without quotes, by number."""
    next_marker: str | None = None


class ListedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object in a list."""

    key: str
    size: int = 0
    modified: int = 0
    """Unix seconds; 0 if the list does not say."""


class ListedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list of objects."""

    objects: Sequence[ListedObject] = ()
    prefixes: Sequence[str] = ()
    """Beginnings of keys up to the delimiter, in place of all keys that have them."""
    next_token: str | None = None

    @property
    def keys(self) -> list[str]:
        """Return the keys of the objects."""
        return [each.key for each in self.objects]


def parse_error(content: bytes) -> ErrorMessage:
    """Return the error in the content of a response; an empty one if it is not a message of S3."""
    try:
        root = _parse(content, "Error")
    except MalformedMessageError:
        return ErrorMessage()
    return ErrorMessage(code=_text(root, "Code"), message=_text(root, "Message"))


def is_error(content: bytes) -> bool:
    """Return True if the content is an error, although the status may be 200, as at the end of a long request."""
    return b"<Error>" in content or b"<Error " in content


def parse_upload_id(content: bytes) -> str:
    """Return the id of an upload that was created.

    Raises:
        MalformedMessageError: the content is not that message.
    """
    # rclone names it otherwise.
    root = _parse(content, "InitiateMultipartUploadResult", "InitiateMultipartUpload")
    upload_id = _text(root, "UploadId")
    if not upload_id:
        raise MalformedMessageError("the answer has no UploadId")
    return upload_id


def parse_etag(content: bytes) -> str:
    """Return the entity tag of an object whose upload was completed, without quotes; "" if the answer has none.

    Raises:
        MalformedMessageError: the content is not that message.
    """
    return _text(_parse(content, "CompleteMultipartUploadResult"), "ETag").strip('"')


def parse_uploads(content: bytes) -> list[ListedUpload]:
    """Return the uploads of a list.

    Raises:
        MalformedMessageError: the content is not that message.
    """
    return [
        ListedUpload(key=_text(each, "Key"), upload_id=_text(each, "UploadId"), initiated=_text(each, "Initiated"))
        for each in _children(_parse(content, "ListMultipartUploadsResult"), "Upload")
    ]


def parse_parts(content: bytes) -> ListedParts:
    """Return a page of the parts of an upload.

    Raises:
        MalformedMessageError: the content is not that message.
    """
    # moto names it otherwise.
    root = _parse(content, "ListPartsResult", "ListPartsResponse")
    try:
        etags = {int(_text(each, "PartNumber")): _text(each, "ETag").strip('"') for each in _children(root, "Part")}
    except ValueError:
        raise MalformedMessageError("the answer has a part without a number") from None
    is_truncated = _text(root, "IsTruncated") == "true"
    return ListedParts(etags=etags, next_marker=_text(root, "NextPartNumberMarker") or None if is_truncated else None)


def parse_objects(content: bytes) -> ListedPage:
    """Return a page of a list of objects.

    Raises:
        MalformedMessageError: the content is not that message.
    """
    root = _parse(content, "ListBucketResult")
    return ListedPage(
        objects=[
            ListedObject(
                key=_text(each, "Key"),
                size=_read_number(_text(each, "Size")),
                modified=_read_time(_text(each, "LastModified")),
            )
            for each in _children(root, "Contents")
        ],
        prefixes=[_text(each, "Prefix") for each in _children(root, "CommonPrefixes")],
        next_token=_text(root, "NextContinuationToken") or None,
    )


def format_parts(parts: Iterable[UploadedPart]) -> bytes:
    """Return the content of a request that completes an upload."""
    root = ET.Element("CompleteMultipartUpload", xmlns=_NAMESPACE)
    for part in parts:
        element = ET.SubElement(root, "Part")
        for name, value in (
            ("PartNumber", str(part.number)),
            ("ETag", f'"{part.etag}"'),
            ("ChecksumSHA256", part.checksum),
        ):
            ET.SubElement(element, name).text = value
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _parse(content: bytes, *expected: str) -> ET.Element:
    """Return the root of a message. A document type, which entities need, is refused.

    Raises:
        MalformedMessageError: it is not XML, or has another root.
    """
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise MalformedMessageError("the answer has a document type")
    try:
        root = ET.fromstring(content)  # noqa: S314 - entities are refused above
    except ET.ParseError as error:
        raise MalformedMessageError(f"the answer is not XML: {error}") from None
    if _local_name(root) not in expected:
        raise MalformedMessageError(f"the answer is {_local_name(root)[:100]}, not {expected[0]}")
    return root


def _read_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _read_time(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return 0


def _local_name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _children(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (child for child in root if _local_name(child) == name)


def _text(root: ET.Element, name: str) -> str:
    return next((child.text or "" for child in _children(root, name)), "")
