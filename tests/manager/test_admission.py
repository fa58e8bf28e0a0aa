"""Download requests that become downloads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from downloadd.attempt_options import AttemptOptions
from downloadd.config import DirectoryConfig, DownloadsConfig
from downloadd.download import Conflict, Desired, Download, PendingRule
from downloadd.download_request import ConditionalRequest, DownloadRequest
from downloadd.errors import DownloadError, ErrorCode, InvalidParameterError, InvalidPathError, QueueFullError
from downloadd.manager.admission import MAX_REFUSED_TEXT_CHARACTERS, admit, admit_probe, refuse
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.domains import DomainRules
from downloadd.policy.policy import Policy
from downloadd.request_fields import Credentials, Method, RequestFields
from downloadd.states import State

DEFAULTS = DownloadsConfig(timeout=120, segments=4)
URL = "https://files.example.com/a/data.csv?x=%2F+1"
ID = "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"
NOW = 1_700_000_000.75


def accept(
    download_request: DownloadRequest, policy: Policy | None = None, directories: DirectoryRules | None = None
) -> Download:
    return admit(
        download_request,
        policy=policy or Policy(),
        directories=directories or DirectoryRules(),
        defaults=DEFAULTS,
        user="ann",
        now=NOW,
        id=ID,
    )


def test_a_valid_request_becomes_a_queued_download() -> None:
    download = accept(DownloadRequest(url=URL, directory="/a//b/"))
    assert (download.state, download.result.error) == (State.QUEUED, None)
    assert (download.id, download.user, download.start_time) == (ID, "ann", int(NOW))
    assert (download.progress.origin, download.request.directory, download.filename) == (
        "https://files.example.com",
        "a/b",
        "data.csv",
    )
    assert download.request.url == URL
    assert (download.request.requested_name, download.request.requested_checksum) == (None, None)


def alternative(directory: str, **fields: Any) -> ConditionalRequest:
    request = DownloadRequest(url=URL, directory=directory, **fields)
    return ConditionalRequest(rule="r", types=("video/*",), min_size=1, max_size=0, request=request)


def test_a_pending_rule_has_the_values_that_differ() -> None:
    directories = DirectoryRules([DirectoryConfig(path="films", conflict=Conflict.SKIP)])
    same = accept(DownloadRequest(url=URL, directory="/d/", alternatives=(alternative("d"),)))
    assert same.request.pending_rules == (PendingRule(name="r", types=("video/*",), min_size=1),)
    given = DownloadRequest(
        url=URL, directory="d", segments=2, priority=5, max_retries=1,
        alternatives=(alternative("/films//x/", speed_limit=7),),
    )  # fmt: skip
    assert accept(given, directories=directories).request.pending_rules == (
        PendingRule(
            name="r", types=("video/*",), min_size=1, directory="films/x", conflict=Conflict.SKIP, segments=4,
            priority=0, speed_limit=7, max_retries=None,
        ),
    )  # fmt: skip


def test_a_request_that_a_rule_may_save_where_nothing_can_be_saved_is_refused() -> None:
    refused = accept(DownloadRequest(url=URL, directory="d", alternatives=(alternative("x" * 300),)))
    assert (refused.state, refused.result.error) == (State.FAILED, ErrorCode.INVALID_PATH)


def test_a_request_may_be_accepted_paused() -> None:
    download = accept(DownloadRequest(url=URL, directory="", paused=True))
    assert (download.state, download.control.desired) == (State.PAUSED, Desired.PAUSE)
    refused = accept(DownloadRequest(url="ftp://a.example/", directory="", paused=True))
    assert (refused.state, refused.control.desired) == (State.FAILED, Desired.RUN)


def test_omitted_parameters_come_from_the_configuration() -> None:
    download = accept(DownloadRequest(url=URL, directory=""))
    assert (download.request.timeout, download.request.segments) == (120, 4)
    assert (download.request.conflict, download.control.priority, download.control.speed_limit) == (
        Conflict.RENAME,
        0,
        0,
    )


def test_requested_parameters_are_kept() -> None:
    download_request = DownloadRequest(
        url=URL,
        directory="d",
        filename="x.csv",
        timeout=0,
        segments=2,
        checksum=f"SHA-256={'AB' * 32}",
        type="Image/PNG; q=1",
        conflict=Conflict.SKIP,
        priority=-3,
        speed_limit=7,
        retry_wait=5,
    )
    download = accept(download_request)
    assert download.request.attempt_options == AttemptOptions(retry_wait=5)
    assert (download.filename, download.request.requested_name) == ("x.csv", "x.csv")
    assert (download.request.timeout, download.request.segments, download.request.conflict) == (0, 2, Conflict.SKIP)
    assert (download.control.priority, download.control.speed_limit) == (-3, 7)
    assert download.request.requested_checksum == f"sha-256={'ab' * 32}"
    assert download.request.expected_type == "image/png"


@pytest.mark.parametrize(
    ("download_request", "code"),
    [
        pytest.param(DownloadRequest(url="nonsense", directory="d"), ErrorCode.INVALID_URL, id="url"),
        pytest.param(DownloadRequest(url="http://127.0.0.1/", directory="d"), ErrorCode.DOMAIN_BLOCKED, id="address"),
        pytest.param(DownloadRequest(url=URL, directory="../d"), ErrorCode.INVALID_PATH, id="directory"),
        pytest.param(DownloadRequest(url=URL, directory="api/v1"), ErrorCode.INVALID_PATH, id="reserved-directory"),
        pytest.param(DownloadRequest(url=URL, directory="d", filename="a/b"), ErrorCode.INVALID_PATH, id="filename"),
        pytest.param(
            DownloadRequest(url=URL, directory="d", checksum="crc=1"), ErrorCode.INVALID_PARAMETER, id="checksum"
        ),
        pytest.param(DownloadRequest(url=URL, directory="d", type="picture"), ErrorCode.INVALID_PARAMETER, id="type"),
        pytest.param(
            DownloadRequest(url=URL, directory="d", problem=InvalidParameterError("wait", "too long")),
            ErrorCode.INVALID_PARAMETER,
            id="problem-of-the-request",
        ),
    ],
)
def test_an_invalid_request_is_recorded_in_the_history(download_request: DownloadRequest, code: ErrorCode) -> None:
    download = accept(download_request)
    assert (download.state, download.result.error) == (State.FAILED, code)
    assert download.result.detail
    assert download.result.end_time == download.start_time == int(NOW)
    # A request that was refused as invalid cannot be retried.
    assert download.progress.origin == ""


def test_a_host_outside_the_allowlist_is_refused() -> None:
    policy = Policy(domains=DomainRules(["example.org"]))
    assert accept(DownloadRequest(url=URL, directory="d"), policy).result.error is ErrorCode.DOMAIN_BLOCKED


def test_a_later_refusal_keeps_everything_else() -> None:
    download = accept(DownloadRequest(url=URL, directory="d"))
    refused = refuse(download, QueueFullError(5), now=NOW)
    assert (refused.state, refused.result.error, refused.result.end_time) == (
        State.FAILED,
        ErrorCode.QUEUE_FULL,
        int(NOW),
    )
    assert (refused.request.url, refused.request.directory) == (download.request.url, download.request.directory)


@pytest.mark.parametrize("url", ["https://u:s3cret@h.example/a?token=s3cret", "ftp://u:s3cret@h.example/a"])
def test_secrets_are_not_shown(url: str) -> None:
    assert "s3cret" not in accept(DownloadRequest(url=url, directory="d")).request.redacted_url


@pytest.mark.parametrize(
    "download_request",
    [
        pytest.param(DownloadRequest(url=URL, directory="https://u:s3cret@h.example/a?token=s3cret"), id="directory"),
        pytest.param(DownloadRequest(url=URL, directory="/HTTPS:/u:s3cret@h.example"), id="directory-with-one-slash"),
        pytest.param(
            DownloadRequest(url=URL, directory="d", filename="https://u:s3cret@h.example/a?token=s3cret"), id="name"
        ),
        pytest.param(
            DownloadRequest(url=URL, directory="d", filename="ftp://h/https://u:s3cret@h.example/"), id="name-twice"
        ),
        pytest.param(
            DownloadRequest(url=URL, directory="d", filename="https:\\\\u:s3cret@h.example"), id="name-backwards"
        ),
    ],
)
def test_a_url_as_file_name_is_refused_and_shown_without_its_secrets(
    download_request: DownloadRequest,
) -> None:
    download = accept(download_request)
    assert download.result.error is ErrorCode.INVALID_PATH
    assert "is a URL" in (download.result.detail or "")
    assert "s3cret" not in f"{download.request.directory} {download.filename} {download.result.detail}"


@given(url=st.text(), directory=st.text(), filename=st.none() | st.text(), checksum=st.none() | st.text())
def test_any_request_becomes_a_download(url: str, directory: str, filename: str | None, checksum: str | None) -> None:
    download = accept(DownloadRequest(url=url, directory=directory, filename=filename, checksum=checksum))
    assert (download.state is State.QUEUED) == (download.result.error is None)
    assert len(download.request.directory) <= MAX_REFUSED_TEXT_CHARACTERS
    assert len(download.filename) <= MAX_REFUSED_TEXT_CHARACTERS


# -- request fields ----------------------------------------------------------------------------------------------------


def test_request_fields_are_checked_and_kept() -> None:
    download = accept(
        DownloadRequest(
            url=URL,
            directory="",
            headers={"X-Key": "k", "Cookie": "a=1"},
            referer="https://files.example.com/",
            auth=Credentials(user="ann", password="p"),
            method=Method.POST,
            body="x",
        )
    )
    assert download.request.fields == RequestFields(
        headers=(("X-Key", "k"),),
        cookies=(("a", "1"),),
        referer="https://files.example.com/",
        auth=Credentials(user="ann", password="p"),
        method=Method.POST,
        body="x",
    )
    assert download.request.method is Method.POST
    assert accept(DownloadRequest(url=URL, directory="")).request.fields is None


def test_a_refused_download_has_no_request_fields() -> None:
    download = accept(DownloadRequest(url=URL, directory="", headers={"Host": "s3cret", "X-Key": "s3cret"}))
    assert (download.state, download.result.error) == (State.FAILED, ErrorCode.INVALID_PARAMETER)
    assert download.result.detail == "headers: Host cannot be set: it is taken from the URL"
    assert download.request.fields is None
    blocked = accept(DownloadRequest(url="http://10.0.0.1/", directory="", headers={"X-Key": "s3cret"}))
    assert (blocked.state, blocked.request.fields) == (State.FAILED, None)


def test_requests_show_no_request_field() -> None:
    request = DownloadRequest(url=URL, directory="", headers={"X-Key": "s3cret"}, body="s3cret")
    assert "s3cret" not in f"{request!r} {pretty_repr(request)} {accept(request)!r}"


# -- probes ------------------------------------------------------------------------------------------------------------


def test_a_probe_has_the_checked_parameters_of_a_download() -> None:
    request = admit_probe(
        DownloadRequest(
            url="https://ann:pw@h/f", directory="", filename="f.zip", type="APPLICATION/Zip", headers={"X-Key": " k "}
        ),
        (),
    )
    assert (request.url, request.redacted_url) == ("https://ann:pw@h/f", "https://h/f")
    assert (request.requested_name, request.expected_type) == ("f.zip", "application/zip")
    assert request.fields == RequestFields(headers=(("X-Key", "k"),))


@pytest.mark.parametrize(
    ("parameters", "kind", "detail"),
    [
        ({"method": Method.POST}, InvalidParameterError, "method: a probe sends GET only"),
        ({"method": Method.POST, "body": "secret"}, InvalidParameterError, "method: a probe sends GET only"),
        ({"body": "secret"}, InvalidParameterError, "body: is given without the method POST"),
        ({"headers": {"Host": "secret"}}, InvalidParameterError, "headers: Host cannot be set"),
        ({"proxy": "p"}, InvalidParameterError, "proxy: no proxy has this name"),
        ({"type": "secret"}, InvalidParameterError, "type: "),
        ({"filename": "a/b"}, InvalidPathError, "the filename"),
    ],
)
def test_a_probe_with_a_parameter_that_cannot_be_used_is_refused(
    parameters: dict[str, Any], kind: type[DownloadError], detail: str
) -> None:
    with pytest.raises(kind, match=detail):
        admit_probe(DownloadRequest(url=URL, directory="", **parameters), {"office"})


def test_a_download_may_name_a_configured_proxy_only() -> None:
    request = DownloadRequest(url=URL, directory="", proxy="office")
    options = {"policy": Policy(), "directories": DirectoryRules(), "defaults": DEFAULTS, "user": "ann"}
    admitted = admit(request, **options, now=NOW, id=ID, proxies={"office"})  # type: ignore[arg-type]
    assert admitted.request.fields == RequestFields(proxy="office")
    for proxies, detail in (
        ((), "proxy: no proxy has this name; none is configured"),
        (("b", "a"), "proxy: no proxy has this name; configured are a, b"),
    ):
        refused = admit(request, **options, now=NOW, id=ID, proxies=proxies)  # type: ignore[arg-type]
        assert (refused.result.error, refused.result.detail) == (ErrorCode.INVALID_PARAMETER, detail)
