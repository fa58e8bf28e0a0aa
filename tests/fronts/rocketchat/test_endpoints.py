"""Endpoints of imports, on a socket."""

import base64
from typing import Any

import pytest
from support.served_api import ServedApi

from downloadd.errors import DownloadForbiddenError
from downloadd.import_operation import ImportState, SkippedEntry, SkipReason
from downloadd.users import PermissionMissingError

IMPORTER = {"Authorization": "Bearer may-import"}
UPLOAD = {"binaryContent": "", "contentType": "a/b", "fileName": "x", "importerKey": "urls"}
SELECTION = {"input": {"users": {"all": True}, "channels": {"all": True}}}
FETCH = {"fileUrl": "http://h/", "importerKey": "slack"}


async def call(api: ServedApi, method: str, path: str, **settings: Any) -> tuple[int, Any]:
    async with api.client.request(method, f"/api/v1/{path}", headers=IMPORTER, **settings) as response:
        return response.status, await response.json()


async def test_an_upload_in_base64_is_decoded(api: ServedApi) -> None:
    body = {**UPLOAD, "binaryContent": base64.b64encode(b"\0content").decode()}
    assert await call(api, "POST", "uploadImportFile", json=body) == (200, {"success": True})
    assert api.imports.uploaded == b"\0content"
    assert [(one.kind, one.user) for one in api.imports.operations] == [("urls", "ivan")]


@pytest.mark.parametrize("content", ["!!!", "YQ", "ä"])
async def test_content_that_is_not_base64_is_refused(api: ServedApi, content: str) -> None:
    status, answer = await call(api, "POST", "uploadImportFile", json={**UPLOAD, "binaryContent": content})
    assert (status, answer["errorType"]) == (400, "error-invalid-params")
    assert api.imports.operations == []


async def test_a_raw_upload_is_answered_with_its_operation(api: ServedApi) -> None:
    status, answer = await call(api, "POST", "imports?importerKey=csv&fileName=a", data=b"content")
    assert (status, answer["success"], answer["operation"]["importerKey"]) == (201, True, "csv")
    assert answer["operation"]["status"] == "importer_file_loaded"
    assert api.imports.uploaded == b"content"


async def test_a_long_media_type_is_refused(api: ServedApi) -> None:
    headers = {**IMPORTER, "Content-Type": "x" * 256}
    path = "/api/v1/imports?importerKey=csv&fileName=a"
    async with api.client.post(path, data=b"", headers=headers) as response:
        assert (response.status, (await response.json())["errorType"]) == (400, "error-invalid-params")


async def test_a_fetch_is_started(api: ServedApi) -> None:
    assert await call(api, "POST", "downloadPublicImportFile", json=FETCH) == (200, {"success": True})
    assert api.imports.operations[0].state is ImportState.FETCHING


async def test_the_right_to_the_directory_is_checked_before_the_body(api: ServedApi) -> None:
    api.imports.error = PermissionMissingError()
    status, answer = await call(api, "POST", "downloadPublicImportFile", data=b"not JSON")
    assert (status, answer["error"].endswith("[error-unauthorized]")) == (403, True)


async def test_a_file_that_is_being_read_is_waited_for(api: ServedApi) -> None:
    api.imports.data = None
    assert await call(api, "GET", "getImportFileData") == (200, {"waiting": True, "success": True})


async def test_no_import_has_no_content_no_progress_and_no_operation(api: ServedApi) -> None:
    empty = {"users": [], "channels": [], "message_count": 0, "success": True}
    assert await call(api, "GET", "getImportFileData") == (200, empty)
    status, answer = await call(api, "GET", "getImportProgress")
    assert (status, answer["errorType"]) == (400, "error-import-operation-invalid")
    assert await call(api, "GET", "getCurrentImportOperation") == (200, {"operation": None, "success": True})
    assert await call(api, "GET", "getLatestImportOperations") == (200, [])


async def test_a_selection_is_applied(api: ServedApi) -> None:
    assert await call(api, "POST", "startImport", json=SELECTION) == (200, {"success": True})
    status, answer = await call(api, "GET", "getImportProgress")
    assert (status, answer["step"], answer["name"]) == (200, "importer_done", "Slack")


@pytest.mark.parametrize("body", [{"input": "all"}, {"input": {"users": 5}}, {}, []])
async def test_a_malformed_selection_is_refused(api: ServedApi, body: Any) -> None:
    status, answer = await call(api, "POST", "startImport", json=body)
    assert (status, answer["errorType"]) == (400, "error-invalid-params")


@pytest.mark.parametrize(("what", "kind"), [("Files", "pending-files"), ("Avatars", "pending-avatars")])
async def test_pending_downloads_are_counted(api: ServedApi, what: str, kind: str) -> None:
    assert await call(api, "POST", f"downloadPending{what}") == (200, {"success": True, "count": 0})
    assert api.imports.operations[0].kind == kind
    [listed] = (await call(api, "GET", "getLatestImportOperations"))[1]
    assert listed["importerKey"] == kind


async def test_without_allow_download_the_error_names_the_option(api: ServedApi) -> None:
    api.imports.error = DownloadForbiddenError()
    for path, settings in (("downloadPendingFiles", {}), ("downloadPublicImportFile", {"json": FETCH})):
        status, answer = await call(api, "POST", path, **settings)
        assert (status, "--allow-download" in answer["error"]) == (400, True)


async def test_an_unknown_operation_cannot_be_cancelled(api: ServedApi) -> None:
    status, answer = await call(api, "DELETE", "imports/unknown")
    assert (status, answer["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(("query", "give_up"), [("", False), ("?give_up=false", False), ("?give_up=true", True)])
async def test_files_are_given_up_on_request_only(api: ServedApi, query: str, give_up: bool) -> None:
    assert (await call(api, "POST", "downloadPendingFiles"))[0] == 200
    id = api.imports.operations[0].id
    status, answer = await call(api, "DELETE", f"imports/{id}{query}")
    assert (status, answer["operation"]["_id"], api.imports.cancelled) == (200, id, [(id, give_up)])


@pytest.mark.parametrize("query", ["?give_up=maybe", "?giveUp=true"])
async def test_a_malformed_request_to_give_up_is_refused(api: ServedApi, query: str) -> None:
    status, answer = await call(api, "DELETE", f"imports/unknown{query}")
    assert (status, answer["errorType"]) == (400, "error-invalid-params")
    assert api.imports.cancelled == []


async def test_pending_downloads_may_be_those_of_one_import_and_retried(api: ServedApi) -> None:
    for query, expected in (("", (None, False)), ("?operation=x&retry=true&_=17", ("x", True))):
        assert (await call(api, "POST", f"downloadPendingFiles{query}"))[0] == 200
        assert (api.imports.requests[-1].operation, api.imports.requests[-1].retry) == expected
    status, answer = await call(api, "POST", "downloadPendingFiles?retry=maybe")
    assert (status, answer["errorType"]) == (400, "error-invalid-params")


async def test_pending_downloads_may_wait_for_a_time(api: ServedApi) -> None:
    for text, expected in (("1798131600", 1_798_131_600), ("2026-12-24T18:00:00%2B01:00", 1_798_131_600)):
        assert (await call(api, "POST", f"downloadPendingFiles?not_before={text}"))[0] == 200
        assert api.imports.requests[-1].not_before == expected
    status, answer = await call(api, "POST", "downloadPendingFiles?not_before=tonight")
    assert (status, answer["errorType"]) == (400, "error-invalid-params")
    assert "not_before: expected a time" in answer["error"]


async def test_skipped_entries_come_in_pages_with_a_link(api: ServedApi) -> None:
    api.imports.left_out = [
        SkippedEntry(reason=SkipReason.DELETED, detail=f"gone {number}", line=number) for number in range(1, 4)
    ]
    path = "/api/v1/imports/x/skipped"
    async with api.client.get(path, params={"limit": "2"}, headers=IMPORTER) as response:
        answer = await response.json()
        assert [item["line"] for item in answer["skipped"]] == [1, 2]
        assert (answer["skipped"][0]["reason"], answer["success"]) == ("deleted", True)
        following = response.links["next"]["url"]
    assert "cursor=2" in str(following)
    async with api.client.get(path, params={"limit": "2", "cursor": "2"}, headers=IMPORTER) as response:
        assert [item["line"] for item in (await response.json())["skipped"]] == [3]
        assert "next" not in response.links
    status, answer = await call(api, "GET", "imports/x/skipped?limit=0")
    assert (status, answer["errorType"]) == (400, "error-invalid-params")
