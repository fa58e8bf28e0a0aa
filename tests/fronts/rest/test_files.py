"""Requests for the content of finished files, in this process."""

import base64
import hashlib
from typing import Any

import pytest
from support.fake_files import FakeFile
from support.sample_downloads import sample_download
from support.served_api import READER_TOKEN, ServedApi
from yarl import URL

from downloadd.download import Download
from downloadd.fronts.rest.file_links import LINK_SECONDS
from downloadd.fronts.rest.files import CHUNK_BYTES, CONTENT_SECURITY_POLICY
from downloadd.states import State

CONTENT = bytes(range(256)) * 5000
CHECKSUM = hashlib.sha256(CONTENT)
AS_READER = {"Authorization": f"Bearer {READER_TOKEN}"}
NO_TOKEN = {"Authorization": ""}


def publish(api: ServedApi, number: int = 0, *, filename: str = "a.png", **changes: Any) -> tuple[Download, FakeFile]:
    fields: dict[str, Any] = {
        "filename": filename,
        "state": State.COMPLETED,
        "directory": "d",
        "checksum": f"sha-256={CHECKSUM.hexdigest()}",
        "end_time": 2,
        "ended_seq": number + 1,
    }
    download = sample_download(number, **{**fields, **changes})
    api.manager.downloads[download.id] = download
    return download, api.files.put(download.file_path, CONTENT)


async def test_a_file_is_sent_with_its_validators_and_a_policy(api: ServedApi) -> None:
    download, file = publish(api)
    assert len(CONTENT) > CHUNK_BYTES
    async with api.client.get(f"/api/v1/downloads/{download.id}/file", headers=AS_READER) as response:
        assert (response.status, await response.read() == CONTENT) == (200, True)
        fields = response.headers
    assert fields["Content-Type"] == "image/png"
    assert fields["Content-Disposition"] == "inline; filename*=UTF-8''a.png"
    assert fields["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert fields["Last-Modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert fields["Repr-Digest"] == f"sha-256=:{base64.b64encode(CHECKSUM.digest()).decode()}:"
    assert fields["Accept-Ranges"] == "bytes"
    assert "X-Request-Id" in fields
    assert file.is_closed


async def test_a_file_is_continued_by_ranges_and_not_sent_again(api: ServedApi) -> None:
    download, _ = publish(api)
    path = f"/api/v1/downloads/{download.id}/file"
    async with api.client.head(path, headers=AS_READER) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, str(len(CONTENT)))
        tag = response.headers["ETag"]
    fields = {"Range": "bytes=1000-", "If-Range": tag}
    async with api.client.get(path, headers=AS_READER | fields) as response:
        assert (response.status, await response.read() == CONTENT[1000:]) == (206, True)
        assert response.headers["Content-Range"] == f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"
    async with api.client.get(path, headers=AS_READER | {"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == tag
    async with api.client.get(path, headers=AS_READER | {"Range": f"bytes={len(CONTENT)}-"}) as response:
        assert (response.status, (await response.json())["error"]) == (416, "RANGE_NOT_SATISFIABLE")
        assert response.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
    async with api.client.get(path, headers=AS_READER | {"If-Match": '"other"'}) as response:
        assert (response.status, (await response.json())["error"]) == (412, "PRECONDITION_FAILED")


async def test_another_file_has_another_tag(api: ServedApi) -> None:
    tags = set()
    for number in range(3):
        download, file = publish(api, number, filename=f"{number}.png")
        file.modified_ns += number // 2
        async with api.client.head(f"/api/v1/downloads/{download.id}/file", headers=AS_READER) as response:
            tags.add(response.headers["ETag"])
    assert len(tags) == 3


async def test_active_content_is_saved_and_never_shown(api: ServedApi) -> None:
    download, _ = publish(api, filename="a.html", content_type="text/html")
    async with api.client.get(f"/api/v1/downloads/{download.id}/file", headers=AS_READER) as response:
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Content-Disposition"].startswith("attachment; ")
    passive, _ = publish(api, 1)
    path = f"/api/v1/downloads/{passive.id}/file?disposition=attachment"
    async with api.client.get(path, headers=AS_READER) as response:
        assert response.headers["Content-Disposition"].startswith("attachment; ")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_a_completed_download_of_a_permitted_directory_has_a_file(api: ServedApi, method: str) -> None:
    last = "file" if method == "GET" else "link"
    failed, _ = publish(api, 1, filename="f", state=State.FAILED)
    secret, _ = publish(api, 2, filename="s", directory="not-for-alice")

    async def ask(id: str) -> tuple[int, str]:
        async with api.client.request(method, f"/api/v1/downloads/{id}/{last}", headers=AS_READER) as response:
            return response.status, (await response.json())["error"].rpartition("[")[2]

    assert await ask(failed.id) == (409, "INVALID_STATE")
    assert await ask(secret.id) == (403, "error-unauthorized]")
    assert await ask("00000009-0000-4000-8000-000000000000") == (404, "NOT_FOUND")
    assert await ask("..") == (404, "NOT_FOUND")
    # Another permission is not enough.
    completed, _ = publish(api, 3)
    async with api.client.request(method, f"/api/v1/downloads/{completed.id}/{last}") as response:
        assert response.status == 403


async def test_a_file_that_is_missing_or_another_one_is_not_sent(api: ServedApi) -> None:
    download, _ = publish(api)
    path = f"/api/v1/downloads/{download.id}/file"
    api.files.changed.add(download.file_path)
    async with api.client.get(path, headers=AS_READER) as response:
        assert (response.status, (await response.json())["error"]) == (409, "FILE_CHANGED")
    api.files.changed.clear()
    api.files.files.clear()
    async with api.client.get(path, headers=AS_READER) as response:
        assert (response.status, (await response.json())["error"]) == (404, "NOT_FOUND")


async def test_a_file_that_becomes_shorter_breaks_the_connection(api: ServedApi) -> None:
    download, file = publish(api)
    file.content = CONTENT[:1000]
    request = f"GET /api/v1/downloads/{download.id}/file HTTP/1.1\r\nHost: api\r\n"
    answer = await api.exchange(f"{request}Authorization: Bearer {READER_TOKEN}\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(CONTENT)}".encode() in head
    assert len(body) <= 1000


async def test_a_link_works_without_a_token_for_its_file_alone(api: ServedApi) -> None:
    download, _ = publish(api)
    other, _ = publish(api, 1, filename="b.png")
    async with api.client.post(f"/api/v1/downloads/{download.id}/link", headers=AS_READER) as response:
        link = await response.json()
        assert (response.status, link["success"]) == (201, True)
    assert link["expires"] == int(api.clock.wall()) + LINK_SECONDS
    async with api.client.get(link["url"], headers=NO_TOKEN) as response:
        assert response.status == 401, "an empty field is a wrong token"
    status, _, body = await send_without_token(api, link["url"])
    assert (status, body) == (200, CONTENT)
    status, _, _ = await send_without_token(api, link["url"].replace(download.id, other.id))
    assert status == 401
    status, _, _ = await send_without_token(api, link["url"].replace("/file?", "?"))
    assert status in {400, 401}
    # A ticket does not replace a token elsewhere, nor a right that was withdrawn.
    api.clock.now += LINK_SECONDS
    assert (await send_without_token(api, link["url"]))[0] == 401


async def send_without_token(api: ServedApi, target: str) -> tuple[int, bytes, bytes]:
    answer = await api.exchange(f"GET {target} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


async def test_a_directory_without_a_query_lists_its_files_in_pages(api: ServedApi) -> None:
    first, _ = publish(api, 1, filename="a&b.png")
    publish(api, 2, filename="c.png")
    api.files.put("d/by hand", b"x")
    async with api.client.get("/d?limit=2", headers=AS_READER) as response:
        assert response.status == 200
        body = await response.json()
        link = response.headers["Link"]
    assert body["directory"] == "d"
    assert [(one["name"], one["path"], one["type"]) for one in body["files"]] == [
        ("a&b.png", "d/a&b.png", "file"),
        ("by hand", "d/by hand", "file"),
    ]
    assert [one["download_id"] for one in body["files"]] == [first.id, None]
    assert body["files"][0]["size"] == len(CONTENT)
    target = link.removeprefix("<").partition(">")[0]
    async with api.client.get(URL(target, encoded=True), headers=AS_READER) as response:
        assert [one["name"] for one in (await response.json())["files"]] == ["c.png"]
        assert "Link" not in response.headers
    for path in ("/d", "/d/", "/d?files="):
        async with api.client.get(path, headers=AS_READER) as response:
            assert len((await response.json())["files"]) == 3


async def test_the_files_of_a_directory_need_the_permission_and_the_right_to_it(api: ServedApi) -> None:
    publish(api)
    # Without the permission, the request is taken for one that lacks its parameter.
    async with api.client.get("/d") as response:
        assert (response.status, "?download=" in (await response.json())["detail"]) == (404, True)
    async with api.client.get("/d?files=") as response:
        assert response.status == 403
    async with api.client.get("/not-for-alice", headers=AS_READER) as response:
        assert response.status == 403
    async with api.client.get("/missing", headers=AS_READER) as response:
        assert (response.status, (await response.json())["error"]) == (404, "NOT_FOUND")
    async with api.client.get(URL("/d%2F..%2F..", encoded=True), headers=AS_READER) as response:
        assert (response.status, (await response.json())["error"]) == (400, "INVALID_PATH")
    # The page is at the root; its files need the selector.
    api.files.put("root.png", b"x")
    async with api.client.get("/?files=", headers=AS_READER) as response:
        assert [one["name"] for one in (await response.json())["files"]] == ["root.png"]
    async with api.client.get("/", headers=AS_READER) as response:
        assert response.content_type == "text/html"
