"""Client for S3: the requests that uploads and finished files need, signed, without retries."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from downloadd.clock import Clock
from downloadd.remote_upload import UploadedPart
from downloadd.storage.objects import messages
from downloadd.storage.objects.errors import ObjectStorageError
from downloadd.storage.objects.location import ObjectLocation
from downloadd.storage.objects.signature import (
    EMPTY_DIGEST,
    ObjectCredentials,
    SignableRequest,
    authorize,
    encode_path,
    encode_query,
)

T = TypeVar("T")

CONNECT_SECONDS: Final = 10.0
"""Seconds for a connection, with TLS."""
RESPONSE_SECONDS: Final = 60.0
"""Seconds without a byte of a response."""
COMPLETION_SECONDS: Final = 600.0
"""Seconds for the completion of an upload, which joins its parts."""
MIN_BYTES_PER_SECOND: Final = 32 * 1024
"""Bytes a second at which content is sent at least."""
MAX_MESSAGE_BYTES: Final = 4 << 20
"""Bytes of a message; a list of 1,000 keys of 1,024 bytes, escaped, fits."""

_METADATA_PREFIX: Final = "x-amz-meta-"


class ObjectHead(msgspec.Struct, frozen=True, kw_only=True):
    """What the object storage says of an object."""

    size: int
    etag: str
    """Entity tag, without quotes."""
    modified: float
    """Unix time."""
    metadata: Mapping[str, str]


class ObjectClient:
    """Client for one bucket. Use it in `async with`.

    Each call raises `ObjectStorageError` for an answer that is an error, or if there is none.

    Args:
        location: the bucket and its server.
        credentials: returns the present credentials.
        clock: for the time in signatures.
        tls: returns the context for the host.
    """

    def __init__(
        self,
        location: ObjectLocation,
        credentials: Callable[[], ObjectCredentials],
        *,
        clock: Clock,
        tls: Callable[[str], SSLContext],
    ) -> None:
        self._location = location
        self._credentials = credentials
        self._clock = clock
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, skip_auto_headers=["User-Agent"]
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def head(self, key: str) -> ObjectHead | None:
        """Return what is known of an object; None if there is none."""
        try:
            async with self._request("HEAD", key) as response:
                return _read_head(response)
        except ObjectStorageError as error:
            if error.is_missing_object:
                return None
            raise

    @asynccontextmanager
    async def get(self, key: str, *, etag: str | None = None, start: int = 0) -> AsyncIterator[aiohttp.StreamReader]:
        """Yield the content of an object from a byte on; with `etag`, only of the version that has it."""
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        if start:
            headers["Range"] = f"bytes={start}-"
        async with self._request("GET", key, headers=headers) as response:
            if start and response.status != 206:
                raise ObjectStorageError("it does not send ranges", status=response.status)
            yield response.content

    async def put(
        self, key: str, content: bytes, *, content_type: str, metadata: Mapping[str, str], replace: bool
    ) -> str:
        """Store an object; return its entity tag. Without `replace`, only if there is none with the key."""
        digest = await asyncio.to_thread(hashlib.sha256, content)
        headers = _describe(content_type, metadata, replace=replace)
        headers["x-amz-checksum-sha256"] = base64.b64encode(digest.digest()).decode()
        async with self._request("PUT", key, headers=headers, content=content, sha256=digest.hexdigest()) as response:
            return response.headers.get("ETag", "").strip('"')

    async def delete(self, key: str) -> None:
        """Delete an object; do nothing if there is none."""
        async with self._request("DELETE", key):
            pass

    async def list_objects(
        self, prefix: str, *, delimiter: str = "", after: str = "", max_keys: int = 1000, token: str | None = None
    ) -> messages.ListedPage:
        """Return a page of the objects whose keys begin with `prefix` and come after `after`."""
        query = [("list-type", "2"), ("prefix", prefix), ("max-keys", str(max_keys))]
        if delimiter:
            query.append(("delimiter", delimiter))
        if after:
            query.append(("start-after", after))
        if token:
            query.append(("continuation-token", token))
        return _read(messages.parse_objects, await self._fetch("GET", "", query=query))

    async def create_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str]) -> str:
        """Create a multipart upload; return its id."""
        headers = _describe(content_type, metadata, replace=True)
        headers["x-amz-checksum-algorithm"] = "SHA256"
        return _read(messages.parse_upload_id, await self._fetch("POST", key, query=[("uploads", "")], headers=headers))

    async def upload_part(self, key: str, upload_id: str, number: int, content: bytes) -> UploadedPart:
        """Upload a part, in place of an earlier one with the number."""
        digest = await asyncio.to_thread(hashlib.sha256, content)
        checksum = base64.b64encode(digest.digest()).decode()
        async with self._request(
            "PUT",
            key,
            query=[("partNumber", str(number)), ("uploadId", upload_id)],
            headers={"x-amz-checksum-sha256": checksum},
            content=content,
            sha256=digest.hexdigest(),
        ) as response:
            return UploadedPart(number=number, etag=response.headers.get("ETag", "").strip('"'), checksum=checksum)

    async def list_parts(self, key: str, upload_id: str) -> Mapping[int, str]:
        """Return the entity tags, without quotes, of the parts of an upload by number."""
        etags: dict[int, str] = {}
        marker: str | None = "0"
        while marker is not None:
            query = [("uploadId", upload_id), ("part-number-marker", marker)]
            page = _read(messages.parse_parts, await self._fetch("GET", key, query=query))
            etags.update(page.etags)
            marker = page.next_marker if page.etags else None
        return etags

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replace: bool) -> str:
        """Make an object of the parts; return its entity tag. Without `replace`, only if there is none with the key."""
        headers = {"Content-Type": "application/xml"} | ({} if replace else {"If-None-Match": "*"})
        content = messages.format_parts(parts)
        answer = await self._fetch(
            "POST",
            key,
            query=[("uploadId", upload_id)],
            headers=headers,
            content=content,
            seconds=COMPLETION_SECONDS,
        )
        return _read(messages.parse_etag, answer)

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort a multipart upload, whose parts are then removed; do nothing if there is none with the id."""
        try:
            async with self._request("DELETE", key, query=[("uploadId", upload_id)]):
                pass
        except ObjectStorageError as error:
            if not error.is_missing_upload:
                raise

    async def list_uploads(self, prefix: str) -> list[messages.ListedUpload]:
        """Return the first 1,000 uploads whose keys begin with `prefix`."""
        return _read(messages.parse_uploads, await self._fetch("GET", "", query=[("uploads", ""), ("prefix", prefix)]))

    async def _fetch(
        self,
        method: str,
        key: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        seconds: float = RESPONSE_SECONDS,
    ) -> bytes:
        """Return the message of a response."""
        sha256 = hashlib.sha256(content).hexdigest()
        async with self._request(
            method, key, query=query, headers=headers, content=content, sha256=sha256, seconds=seconds
        ) as response:
            answer = await _read_message(response)
            if messages.is_error(answer):
                raise _make_error(response.status, answer)
            return answer

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        key: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        sha256: str = EMPTY_DIGEST,
        seconds: float = RESPONSE_SECONDS,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response to a request, unless its status is an error."""
        assert self._session is not None  # noqa: S101 - narrows the type; the caller has opened it
        location, credentials = self._location, self._credentials()
        path = encode_path(location.path_of(key))
        timestamp = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {"Host": location.host, "x-amz-date": timestamp, "x-amz-content-sha256": sha256, **(headers or {})}
        if credentials.session_token:
            signed["x-amz-security-token"] = credentials.session_token
        request = SignableRequest(method=method, path=path, query=query, headers=signed, content_sha256=sha256)
        signed["Authorization"] = authorize(request, credentials, region=location.region, timestamp=timestamp)
        text = f"{location.origin}{path}" + (f"?{encode_query(query)}" if query else "")
        try:
            async with self._session.request(
                method,
                URL(text, encoded=True),
                headers=signed,
                # A buffer is sent in pieces, between which other tasks run.
                data=BytesIO(content) if content else b"" if method in {"PUT", "POST"} else None,
                allow_redirects=False,
                ssl=self._tls(location.hostname) if location.origin.startswith("https:") else False,
                timeout=aiohttp.ClientTimeout(
                    total=None if method == "GET" else seconds + len(content) / MIN_BYTES_PER_SECOND,
                    sock_connect=CONNECT_SECONDS,
                    sock_read=seconds,
                ),
            ) as response:
                if response.status >= 300:
                    raise _make_error(response.status, await _read_message(response))
                yield response
        except TimeoutError:
            raise ObjectStorageError("no answer within the time limit") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ObjectStorageError(str(error) or type(error).__name__) from error


def _read(parse: Callable[[bytes], T], content: bytes) -> T:
    try:
        return parse(content)
    except messages.MalformedMessageError as error:
        raise ObjectStorageError(str(error)) from error


def _make_error(status: int, content: bytes) -> ObjectStorageError:
    found = messages.parse_error(content)
    return ObjectStorageError(found.message or found.code or "an error", status=status, code=found.code)


async def _read_message(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > MAX_MESSAGE_BYTES:
            raise ObjectStorageError("the answer is too long", status=response.status)
    return bytes(content)


def _read_head(response: aiohttp.ClientResponse) -> ObjectHead:
    headers = response.headers
    try:
        modified = parsedate_to_datetime(headers.get("Last-Modified", ""))
        size = int(headers.get("Content-Length", ""))
    except ValueError:
        raise ObjectStorageError("the answer has no length or no date", status=response.status) from None
    return ObjectHead(
        size=size,
        etag=headers.get("ETag", "").strip('"'),
        modified=modified.timestamp(),
        metadata={
            name.lower().removeprefix(_METADATA_PREFIX): value
            for name, value in headers.items()
            if name.lower().startswith(_METADATA_PREFIX)
        },
    )


def _describe(content_type: str, metadata: Mapping[str, str], *, replace: bool) -> dict[str, str]:
    headers = {"Content-Type": content_type, **{f"{_METADATA_PREFIX}{name}": value for name, value in metadata.items()}}
    return headers if replace else {**headers, "If-None-Match": "*"}
