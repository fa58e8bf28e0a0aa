"""Client for S3, against a real server."""

import hashlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from support.clocks import ManualClock
from support.object_server import (
    CREDENTIALS,
    ObjectProxy,
    answer_error,
    drop_connection,
    make_client,
)

from downloadd.storage.objects.client import ObjectClient
from downloadd.storage.objects.errors import ObjectStorageError
from downloadd.storage.objects.signature import SignableRequest, authorize

KEY = "files/ä b+c&d=e'().txt"
PART = bytes(5 << 20)


@pytest.fixture
async def client(object_proxy: ObjectProxy, bucket: str) -> AsyncIterator[ObjectClient]:
    """Client for a bucket, through the proxy."""
    async with make_client(object_proxy.url, bucket) as opened:
        yield opened


async def read(client: ObjectClient, key: str, **options: object) -> bytes:
    async with client.get(key, **options) as content:  # type: ignore[arg-type]
        return await content.read()


async def put(client: ObjectClient, content: bytes, *, replace: bool = False) -> str:
    return await client.put(KEY, content, content_type="text/plain", metadata={"source": "x y"}, replace=replace)


async def test_an_object_is_stored_read_and_deleted(client: ObjectClient) -> None:
    assert await client.head(KEY) is None
    etag = await put(client, b"content")
    head = await client.head(KEY)
    assert head is not None
    assert (head.size, head.etag, head.metadata) == (7, etag, {"source": "x y"})
    assert await read(client, KEY) == b"content"
    assert await read(client, KEY, start=3, etag=etag) == b"tent"
    page = await client.list_objects("files/")
    assert page.keys == [KEY]
    assert (await client.list_objects("", delimiter="/")).prefixes == ["files/"]
    await client.delete(KEY)
    await client.delete(KEY)
    assert await client.head(KEY) is None


async def test_a_name_that_is_taken_is_kept_unless_it_may_be_replaced(client: ObjectClient) -> None:
    await put(client, b"first")
    with pytest.raises(ObjectStorageError) as caught:
        await put(client, b"second")
    assert caught.value.is_unmet_condition
    assert await read(client, KEY) == b"first"
    await put(client, b"second", replace=True)
    assert await read(client, KEY) == b"second"


async def test_another_version_than_the_expected_one_is_not_read(client: ObjectClient) -> None:
    etag = await put(client, b"first")
    await put(client, b"second", replace=True)
    with pytest.raises(ObjectStorageError) as caught:
        await read(client, KEY, etag=etag)
    assert caught.value.is_unmet_condition


async def test_an_upload_of_several_parts_appears_at_its_completion(client: ObjectClient) -> None:
    upload = await client.create_upload(KEY, content_type="text/plain", metadata={"sha256": "1"})
    parts = [await client.upload_part(KEY, upload, number, content) for number, content in ((1, PART), (2, b"end"))]
    assert await client.head(KEY) is None
    assert await client.list_parts(KEY, upload) == {1: parts[0].etag, 2: parts[1].etag}
    assert [(each.key, each.upload_id) for each in await client.list_uploads(KEY)] == [(KEY, upload)]
    etag = await client.complete_upload(KEY, upload, parts, replace=False)
    head = await client.head(KEY)
    assert head is not None
    assert (head.size, head.etag, head.metadata) == (len(PART) + 3, etag, {"sha256": "1"})
    assert await client.list_uploads("") == []
    with pytest.raises(ObjectStorageError) as caught:
        await client.upload_part(KEY, upload, 1, PART)
    assert caught.value.is_missing_upload
    with pytest.raises(ObjectStorageError) as caught:
        await client.list_parts(KEY, upload)
    assert caught.value.is_missing_upload


async def test_the_completion_does_not_replace_an_object(client: ObjectClient) -> None:
    await put(client, b"first")
    upload = await client.create_upload(KEY, content_type="text/plain", metadata={})
    parts = [await client.upload_part(KEY, upload, 1, b"second")]
    with pytest.raises(ObjectStorageError) as caught:
        await client.complete_upload(KEY, upload, parts, replace=False)
    assert caught.value.is_unmet_condition
    assert await read(client, KEY) == b"first"


async def test_all_pages_of_a_list_of_parts_are_read(client: ObjectClient, object_proxy: ObjectProxy) -> None:
    async def answer(request: web.Request) -> web.Response:
        number = int(request.query.get("part-number-marker", "0")) + 1
        more = f"<IsTruncated>true</IsTruncated><NextPartNumberMarker>{number}</NextPartNumberMarker>"
        part = f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;e{number}&quot;</ETag></Part>"
        return web.Response(text=f"<ListPartsResult>{part}{more if number < 3 else ''}</ListPartsResult>")

    object_proxy.before = answer
    assert await client.list_parts(KEY, "u") == {1: "e1", 2: "e2", 3: "e3"}


async def test_an_aborted_upload_leaves_nothing(client: ObjectClient) -> None:
    upload = await client.create_upload(KEY, content_type="text/plain", metadata={})
    await client.upload_part(KEY, upload, 1, b"x")
    await client.abort_upload(KEY, upload)
    await client.abort_upload(KEY, upload)
    assert await client.list_uploads("") == []


async def test_an_error_has_status_and_code(client: ObjectClient, object_proxy: ObjectProxy, bucket: str) -> None:
    with pytest.raises(ObjectStorageError) as caught:
        await read(client, KEY)
    assert (caught.value.status, caught.value.code) == (404, "NoSuchKey")
    async with make_client(object_proxy.url, f"{bucket}-missing") as other:
        with pytest.raises(ObjectStorageError) as caught:
            await read(other, KEY)
    assert caught.value.code == "NoSuchBucket"


async def test_an_error_after_the_status_of_a_completion_is_found(
    client: ObjectClient, object_proxy: ObjectProxy
) -> None:
    upload = await client.create_upload(KEY, content_type="text/plain", metadata={})
    parts = [await client.upload_part(KEY, upload, 1, b"x")]

    async def fail(request: web.Request) -> web.Response:
        return answer_error(200, "InternalError")

    object_proxy.before = fail
    with pytest.raises(ObjectStorageError) as caught:
        await client.complete_upload(KEY, upload, parts, replace=True)
    assert caught.value.code == "InternalError"


async def test_a_server_that_does_not_answer_is_an_error_without_a_status(
    client: ObjectClient, object_proxy: ObjectProxy
) -> None:
    object_proxy.before = drop_connection
    with pytest.raises(ObjectStorageError) as caught:
        await put(client, b"content")
    assert caught.value.status == 0


async def test_a_message_without_an_end_is_refused(client: ObjectClient, object_proxy: ObjectProxy) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bytes(5 << 20))

    object_proxy.before = answer
    with pytest.raises(ObjectStorageError, match="too long"):
        await client.list_objects("")


async def test_what_is_sent_is_what_is_signed(object_proxy: ObjectProxy, bucket: str) -> None:
    seen: list[web.Request] = []

    async def record(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(text="<ListBucketResult/>", headers={"ETag": '"e"'})

    object_proxy.before = record
    clock = ManualClock()
    async with make_client(object_proxy.url, bucket, clock=clock) as client:
        await client.list_objects("files/ä +&/", delimiter="/")
        await put(client, b"content")
    for request, content in zip(seen, (b"", b"content"), strict=True):
        given = request.headers["Authorization"]
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        signable = SignableRequest(
            method=request.method,
            path=request.raw_path.partition("?")[0],
            query=list(request.query.items()),
            headers={name: request.headers[name] for name in names},
            content_sha256=hashlib.sha256(content).hexdigest(),
        )
        assert given == authorize(signable, CREDENTIALS, region="us-east-1", timestamp=request.headers["x-amz-date"])
        assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names)
