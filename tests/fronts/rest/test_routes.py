"""Table of routes."""

import json

import pytest
from support.served_api import ServedApi

from downloadd import __version__


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        pytest.param("GET", "/api/v1/downloads", 200, id="exact"),
        pytest.param("GET", "/api/v1/Downloads", 404, id="case-matters"),
        pytest.param("GET", "/api%2Fv1%2Fdownloads", 404, id="encoded-path-is-no-path-of-the-api"),
        pytest.param("GET", "/api%2Fv1%2Fdownloads?downloads=", 400, id="nor-a-directory"),
        pytest.param("GET", "//api/v1/downloads?downloads=", 400, id="doubled-slash"),
        pytest.param("GET", "/Downloads?downloads", 200, id="without-equals"),
        pytest.param("GET", "/Downloads?%64ownloads=", 200, id="encoded-name"),
        pytest.param("GET", "//?download_history=", 200, id="root-with-two-slashes"),
        pytest.param("GET", "/Downloads?download_history=", 404, id="history-of-a-directory"),
        pytest.param("GET", "/?downloads=&download_history=", 400, id="two-questions"),
        pytest.param("GET", "/?page=1", 400, id="the-page-takes-no-query"),
        pytest.param("POST", "/", 405, id="the-page-takes-nothing"),
        pytest.param("GET", "/api/v1/page/nothing.js", 404, id="no-file-of-the-page"),
        pytest.param("GET", "/api/v1/page/..%2Fdashboard.py", 404, id="nor-one-outside"),
        pytest.param("HEAD", "/Downloads", 404, id="head-of-nothing"),
        pytest.param("OPTIONS", "*", 405, id="asterisk"),
    ],
)
async def test_a_request_finds_its_line(api: ServedApi, method: str, target: str, status: int) -> None:
    answered, fields, body = await api.raw(method, target)
    assert answered == status, body
    assert fields["Content-Type"] == "application/json"
    if body and status >= 400:
        assert json.loads(body)["success"] is False


async def test_health_has_the_version(api: ServedApi) -> None:
    _, _, body = await api.raw("GET", "/api/v1/health")
    assert json.loads(body) == {"status": "ok", "version": __version__, "storage": "ok"}
