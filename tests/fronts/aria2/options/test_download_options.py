"""Options as the request for a download, and as the change of one."""

from typing import Any

import pytest
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.config import DownloadsConfig
from downloadd.download import Conflict, Mirror
from downloadd.download_request import DownloadRequest
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.options.download_options import make_change, make_request, select_urls
from downloadd.fronts.aria2.options.option_report import report_options
from downloadd.fronts.aria2.options.options import DOWNLOAD_USES, read_options
from downloadd.manager.protocol import DownloadChange
from downloadd.request_fields import Credentials, Method, RequestFields

ROOT = "/srv/files"
URL = "https://files.example.com/a"
SHA1 = f"sha-1={'0' * 40}"
DOWNLOAD = sample_download(
    seq=1, directory="d", segments=4, fields=RequestFields(headers=(("A", "b"),), referer="http://r/", body=None)
)


def read(given: dict[str, Any]) -> dict[str, str]:
    return read_options(given, DOWNLOAD_USES)


def request(urls: tuple[str, ...] = (URL,), position: int | None = None, **given: Any) -> DownloadRequest:
    options = read({name.replace("_", "-"): value for name, value in given.items()})
    return make_request(options, urls, root=ROOT, position=position)


def change(download: Any = DOWNLOAD, **given: Any) -> DownloadChange:
    present = report_options(download, DownloadsConfig(), ROOT, shows_secrets=True)
    options = read({name.replace("_", "-"): value for name, value in given.items()})
    return make_change(download, options, present, root=ROOT)


def message_of(**given: Any) -> str:
    with pytest.raises(RpcError) as caught:
        request(**given)
    return caught.value.message


# -- URIs --------------------------------------------------------------------------------------------------------------


def test_uris_of_http_are_used_once_each() -> None:
    assert select_urls(["foo", URL, "ftp://a/", "HTTP://b/", URL]) == [URL, "HTTP://b/"]


def test_uris_beyond_the_sixteenth_are_ignored() -> None:
    assert select_urls([f"http://a/{number}" for number in range(20)]) == [f"http://a/{number}" for number in range(16)]


@pytest.mark.parametrize(
    ("uris", "message"),
    [([], "URI is not provided."), (["foo", "magnet:?x", "ftp://a/", "http:/a", ""], "No URI to download.")],
)
def test_without_a_uri_there_is_nothing_to_download(uris: list[str], message: str) -> None:
    with pytest.raises(RpcError) as caught:
        select_urls(uris)
    assert caught.value.message == message


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_without_options_has_the_defaults_but_no_limit_of_time() -> None:
    assert request((URL, "http://b/"), position=3) == DownloadRequest(
        url=URL, mirrors=("http://b/",), directory="", timeout=0, position=3
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"dir": "/srv/files/x"}, {"directory": "x"}),
        ({"dir": "x/y", "out": "z/f"}, {"directory": "x/y/z", "filename": "f"}),
        ({"out": ""}, {"filename": None}),
        ({"gid": "ABCDEF0123456789"}, {"gid": "abcdef0123456789"}),
        ({"pause": "true"}, {"paused": True}),
        ({"pause": False}, {"paused": False}),
        ({"checksum": SHA1.upper()}, {"checksum": SHA1}),
        ({"max-download-limit": "100K"}, {"speed_limit": 102400}),
        ({"allow-overwrite": "true"}, {"conflict": Conflict.OVERWRITE}),
        ({"allow-overwrite": "true", "auto-file-renaming": "false"}, {"conflict": Conflict.OVERWRITE}),
        ({"auto-file-renaming": "false"}, {"conflict": Conflict.ERROR}),
        ({"auto-file-renaming": "true"}, {"conflict": Conflict.RENAME}),
        ({"allow-overwrite": "false"}, {"conflict": Conflict.RENAME}),
        ({"conditional-get": "true"}, {"skip_same": True}),
        ({"conditional-get": "false"}, {"skip_same": False}),
        ({"max-tries": "1"}, {"max_retries": 0}),
        ({"max-tries": "5"}, {"max_retries": 4}),
        ({"max-tries": "0"}, {"max_retries": 1000}),
        ({"max-tries": "100000"}, {"max_retries": 1000}),
        ({"retry-wait": "7"}, {"retry_wait": 7}),
        ({"timeout": "8"}, {"stall_timeout": 8}),
        ({"connect-timeout": "9"}, {"connect_timeout": 9}),
        ({"lowest-speed-limit": "1K"}, {"min_speed": 1024}),
        ({"header": ["A: b", "Cookie: c=d"]}, {"headers": {"A": "b", "Cookie": "c=d"}}),
        ({"referer": "*"}, {"referer": URL}),
        ({"user-agent": "x/1"}, {"user_agent": "x/1"}),
        ({"http-user": "u", "http-passwd": "p"}, {"auth": Credentials(user="u", password="p")}),
    ],
)
def test_each_option_is_a_parameter_of_the_request(given: dict[str, Any], expected: dict[str, Any]) -> None:
    made = make_request(read(given), [URL], root=ROOT)
    assert {name: getattr(made, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "urls", "segments"),
    [
        ({}, (URL,), None),
        ({"split": "3"}, (URL,), 3),
        ({"split": "99"}, (URL,), 16),
        ({"split": "8", "max-connection-per-server": "2"}, (URL,), 2),
        ({"split": "8", "max-connection-per-server": "2"}, (URL, URL + "2", "http://b/"), 4),
        ({"split": "8", "max-connection-per-server": "16"}, (URL,), 8),
        ({"max-connection-per-server": "16"}, (URL,), 5),
        ({"max-connection-per-server": "1"}, (URL,), 1),
        ({"max-connection-per-server": "2"}, ("http://[",), 2),
    ],
)
def test_connections_are_limited_for_each_server_and_in_all(
    given: dict[str, str], urls: tuple[str, ...], segments: int | None
) -> None:
    assert make_request(read(given), urls, root=ROOT).segments == segments


@pytest.mark.parametrize("gid", ["", "abc", "0" * 16, "g" * 16, "0" * 17, " 23456789abcdef0"])
def test_a_malformed_gid_is_named(gid: str) -> None:
    assert message_of(gid=gid) == f"Invalid GID {gid}. Expected 16 hex digits that are not all 0."


@pytest.mark.parametrize(("name", "value"), [("dir", "/etc"), ("out", "../f"), ("out", "/f"), ("header", "x")])
def test_a_value_that_cannot_be_used_names_its_option(name: str, value: str) -> None:
    assert f"'--{name}'" in message_of(**{name: value})


# -- changes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"dir": "/srv/files/e"}, {"directory": "e"}),
        ({"dir": "/srv/files"}, {"directory": ""}),
        ({"out": "f"}, {"filename": "f"}),
        ({"out": "e/f"}, {"directory": "d/e", "filename": "f"}),
        ({"dir": "/srv/files/e", "out": "f"}, {"directory": "e", "filename": "f"}),
        ({"out": ""}, {}),
        ({"checksum": SHA1}, {"checksum": SHA1}),
        ({"max-download-limit": "10K"}, {"speed_limit": 10240}),
        ({"allow-overwrite": "true"}, {"conflict": Conflict.OVERWRITE}),
        ({"auto-file-renaming": "false"}, {"conflict": Conflict.ERROR}),
        ({"split": "8"}, {"segments": 8}),
        ({"max-connection-per-server": "2"}, {"segments": 2}),
        ({"max-connection-per-server": "16"}, {"segments": 4}),
        ({"split": "8", "max-connection-per-server": "16"}, {"segments": 8}),
        ({"max-tries": "1"}, {"max_retries": 0}),
        ({"retry-wait": "7"}, {"retry_wait": 7}),
        ({"timeout": "8"}, {"stall_timeout": 8}),
        ({"connect-timeout": "9"}, {"connect_timeout": 9}),
        ({"lowest-speed-limit": "1K"}, {"min_speed": 1024}),
        ({"gid": "x", "pause": "true"}, {}),
    ],
)
def test_an_option_is_a_change_of_the_download(given: dict[str, str], expected: dict[str, Any]) -> None:
    assert change(**given) == DownloadChange(**expected)


def test_options_that_are_the_same_already_change_nothing() -> None:
    download = with_fields(DOWNLOAD, requested_name="f", requested_checksum=SHA1, mirrors=(Mirror(url="http://b/"),))
    options = report_options(download, DownloadsConfig(), ROOT, shows_secrets=True)
    assert change(download, **options) == DownloadChange()


def test_changed_request_fields_replace_all_and_keep_what_has_no_option() -> None:
    posted = RequestFields(headers=(("A", "b"),), referer="http://r/", method=Method.POST, body="x", proxy="p")
    fields = change(with_fields(DOWNLOAD, fields=posted), header=["C: d"]).fields
    assert fields is not None
    assert (fields.headers, fields.referer) == ({"C": "d"}, "http://r/")
    assert (fields.method, fields.body, fields.proxy) == (Method.POST, "x", "p")


def test_request_fields_can_be_removed() -> None:
    fields = change(header="", referer="").fields
    assert fields is not None
    assert (fields.headers, fields.referer) == ({}, None)


def test_a_change_that_cannot_be_made_names_its_option() -> None:
    with pytest.raises(RpcError, match="'--dir'"):
        change(dir="/etc")
