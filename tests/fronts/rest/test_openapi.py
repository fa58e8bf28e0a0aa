"""The OpenAPI document: valid, complete, and consistent with the responses."""

import asyncio
import json
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd.errors import ERRORS
from downloadd.states import State

pytestmark = pytest.mark.system

A = "https%3A%2F%2Fa.example%2Fx"
IMPORTS_READ = (
    "getImportFileData", "getImportProgress", "getCurrentImportOperation", "getLatestImportOperations",
)  # fmt: skip
IMPORTS_DONE = (
    "uploadImportFile", "imports", "downloadPublicImportFile", "startImport", "downloadPendingFiles",
    "downloadPendingAvatars",
)  # fmt: skip
FACTS = ("metrics", "health", "openapi.json", "errors", "directories", "hosts", "nodes", "settings", "quota")
ID = "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"


@pytest.fixture(scope="module")
def document() -> Any:
    """The document as the API sends it."""

    async def read_document() -> Any:
        async with ServedApi().client as client, client.get("/api/v1/openapi.json") as response:
            assert response.status == 200
            return await response.json()

    return asyncio.run(read_document())


def test_the_document_is_valid_openapi(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_path_and_method_is_described(document: Any) -> None:
    one = "/api/v1/downloads/{id}"
    assert {(path, method) for path, item in document["paths"].items() for method in item} == {
        ("/{directory}", "get"), ("/{directory}", "head"), ("/", "get"), ("/", "head"), ("/", "delete"),
        ("/api/v1/downloads", "get"), ("/api/v1/downloads", "head"), ("/api/v1/downloads", "post"),
        (one, "get"), (one, "head"), (one, "delete"), (one, "patch"),
        ("/api/v1/storage/accept", "post"),
        ("/api/v1/probe", "post"), ("/api/v1/explain", "post"),
        ("/api/v1/settings", "patch"), ("/api/v1/schedules", "post"),
        *((f"/api/v1/schedules{path}", method) for path in ("", "/{id}") for method in ("get", "head")),
        *(("/api/v1/schedules/{id}", method) for method in ("patch", "delete")), ("/api/v1/schedules/{id}/run", "post"),
        *(("/api/v1/users", method) for method in ("get", "head", "post")),
        ("/api/v1/users/{id}/rotate", "post"), ("/api/v1/users/{id}", "delete"),
        (f"{one}/pause", "post"), (f"{one}/resume", "post"), (f"{one}/retry", "post"),
        (f"{one}/move", "post"), (f"{one}/file", "get"), (f"{one}/file", "head"), (f"{one}/link", "post"),
        *((f"/api/v1/downloads/{name}", "post") for name in ("actions", "pause", "resume")),
        ("/api/v1/events", "get"),
        *((f"/api/v1/{name}", "get") for name in IMPORTS_READ),
        *((f"/api/v1/{name}", "post") for name in IMPORTS_DONE),
        ("/api/v1/imports/{id}", "delete"),
        ("/api/v1/imports/{id}/skipped", "get"),
        ("/api/v1/imports/{id}/skipped", "head"),
        *((f"/api/v1/{name}", method) for name in FACTS for method in ("get", "head")),
    }  # fmt: skip


def test_operation_ids_are_unique(document: Any) -> None:
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_every_parameter_of_a_start_is_described(document: Any) -> None:
    parameters = document["paths"]["/{directory}"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert set(by_name) >= {
        "directory", "download", "filename", "timeout", "segments", "checksum", "conflict", "priority", "speed_limit",
        "wait", "downloads", "limit", "status", "cursor", "Idempotency-Key",
    }  # fmt: skip
    assert by_name["segments"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 16}
    assert by_name["timeout"]["description"]


def test_the_ids_of_downloads_and_of_imports_are_described(document: Any) -> None:
    ids = {
        path: parameter
        for path, item in document["paths"].items()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
        if parameter.get("in") == "path" and parameter["name"] == "id"
    }
    downloads, imports = ids["/api/v1/downloads/{id}"], ids["/api/v1/imports/{id}"]
    assert (downloads["description"], downloads["schema"]["format"]) == ("Id of the download.", "uuid")
    assert imports["description"] == "Id of the import operation."
    assert imports["schema"] == {"type": "string", "minLength": 17, "maxLength": 17}


def test_both_security_schemes_are_described_and_health_needs_none(document: Any) -> None:
    assert document["security"] == [{"bearer": []}, {"userId": [], "authToken": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "userId", "authToken"}
    assert document["paths"]["/api/v1/health"]["get"]["security"] == []


def test_every_error_of_the_table_is_in_the_document(document: Any) -> None:
    text = json.dumps(document)
    for code in ERRORS:
        assert code in text


def test_a_head_response_has_no_content(document: Any) -> None:
    heads = [item["head"] for item in document["paths"].values() if "head" in item]
    responses = [response for head in heads for response in head["responses"].values()]
    assert len(responses) > len(heads) > 5
    assert [response for response in responses if "content" in response] == []


BULK = "/api/v1/downloads/actions"
ANSWERS = [
    ("GET", f"/d?download={A}", "/{directory}", None),
    ("GET", "/d?download=nonsense", "/{directory}", None),
    ("GET", f"/d?download={A}&timeout=x", "/{directory}", None),
    ("GET", "/d?downloads=", "/{directory}", None),
    ("GET", "/d?downloads=&limit=0", "/{directory}", None),
    ("GET", "/d", "/{directory}", None),
    ("GET", f"/?download={A}", "/", None),
    ("GET", "/?downloads=", "/", None),
    ("GET", "/?download_history=", "/", None),
    ("GET", "/?download_history=&directory=..", "/", None),
    ("DELETE", "/?download_history=", "/", None),
    ("DELETE", "/?download_history=&status=queued", "/", None),
    ("GET", "/api/v1/downloads", "/api/v1/downloads", None),
    ("GET", "/api/v1/downloads?limit=0", "/api/v1/downloads", None),
    ("POST", "/api/v1/downloads", "/api/v1/downloads", {"downloads": [{"url": "https://a.example/"}, {"url": "x"}]}),
    ("POST", "/api/v1/downloads", "/api/v1/downloads", {"downloads": [{"url": "x"}]}),
    ("POST", "/api/v1/downloads", "/api/v1/downloads", {}),
    ("GET", f"/api/v1/downloads/{sample_download(1).id}", "/api/v1/downloads/{id}", None),
    ("GET", f"/api/v1/downloads/{sample_download(2).id}", "/api/v1/downloads/{id}", None),
    ("GET", f"/api/v1/downloads/{ID}", "/api/v1/downloads/{id}", None),
    ("DELETE", f"/api/v1/downloads/{sample_download(1).id}", "/api/v1/downloads/{id}", None),
    ("DELETE", f"/api/v1/downloads/{sample_download(2).id}", "/api/v1/downloads/{id}", None),
    ("DELETE", f"/api/v1/downloads/{sample_download(2).id}?only=active", "/api/v1/downloads/{id}", None),
    ("PATCH", f"/api/v1/downloads/{sample_download(1).id}", "/api/v1/downloads/{id}", {"priority": 1}),
    ("PATCH", f"/api/v1/downloads/{sample_download(1).id}", "/api/v1/downloads/{id}", {"url": "x"}),
    ("POST", f"/api/v1/downloads/{sample_download(1).id}/pause", "/api/v1/downloads/{id}/pause", None),
    ("POST", f"/api/v1/downloads/{sample_download(1).id}/resume", "/api/v1/downloads/{id}/resume", None),
    ("POST", f"/api/v1/downloads/{sample_download(2).id}/retry", "/api/v1/downloads/{id}/retry", None),
    ("POST", f"/api/v1/downloads/{sample_download(1).id}/move", "/api/v1/downloads/{id}/move", {"to": "top"}),
    ("POST", f"/api/v1/downloads/{sample_download(1).id}/move", "/api/v1/downloads/{id}/move", {"to": -1}),
    ("POST", f"/api/v1/downloads/{sample_download(2).id}/move", "/api/v1/downloads/{id}/move", {"to": 0}),
    ("POST", "/api/v1/downloads/pause", "/api/v1/downloads/pause", None),
    ("POST", BULK, BULK, {"action": "pause", "ids": [sample_download(1).id, sample_download(2).id, ID]}),
    ("POST", BULK, BULK, {"action": "remove", "ids": [sample_download(2).id]}),
    ("POST", BULK, BULK, {"action": "pause", "ids": []}),
    ("POST", "/api/v1/downloads/resume", "/api/v1/downloads/resume", None),
    ("POST", "/api/v1/storage/accept", "/api/v1/storage/accept", None),
    ("POST", "/api/v1/probe", "/api/v1/probe", {"url": "https://a.example/"}),
    ("POST", "/api/v1/probe", "/api/v1/probe", {"url": "https://a.example/", "method": "POST"}),
    ("POST", "/api/v1/probe", "/api/v1/probe", {}),
    ("GET", "/api/v1/settings", "/api/v1/settings", None),
    ("PATCH", "/api/v1/settings", "/api/v1/settings", {"max_concurrent": 1}),
    ("PATCH", "/api/v1/settings", "/api/v1/settings", {"max_concurrent": 0}),
    ("GET", "/api/v1/health", "/api/v1/health", None),
    ("GET", "/api/v1/openapi.json", "/api/v1/openapi.json", None),
]


@pytest.mark.parametrize(("method", "target", "path", "body"), ANSWERS)
@pytest.mark.parametrize("token", ["open-sesame", "may-import", "wrong"])
@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "forbidden"])
async def test_responses_conform_to_the_document(
    api: ServedApi, document: Any, method: str, target: str, path: str, body: Any, token: str, allowed: bool
) -> None:
    api.allow_downloads(allowed)
    api.manager.add(sample_download(1, received=1, total=3))
    api.manager.add(sample_download(2, state=State.FAILED))
    operation = document["paths"][path][method.lower()]
    headers = {"Authorization": f"Bearer {token}"}
    async with api.client.request(method, target, json=body, headers=headers) as response:
        described = operation["responses"][str(response.status)]
        schema = described["content"]["application/json"]["schema"]
        OAS31Validator({**schema, "components": document["components"]}).validate(await response.json())
        for name in ("Location", "Link", "Retry-After", "WWW-Authenticate", "X-Request-Id"):
            assert name not in response.headers or name in described["headers"]
