"""Errors of the client library as `DownloadError`."""

import aiohttp
import pytest

from downloadd.errors import NetworkError
from downloadd.transfer.client_errors import map_client_error
from downloadd.transfer.origin_protocol import SurplusError


def _subclasses(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind}.union(*(_subclasses(each) for each in kind.__subclasses__()))


@pytest.mark.parametrize(
    "kind", sorted(_subclasses(aiohttp.ClientError) | {TimeoutError, ConnectionResetError}, key=lambda kind: str(kind))
)
def test_every_error_of_the_client_library_has_a_message_without_the_url(kind: type[BaseException]) -> None:
    error = kind.__new__(kind)
    error.args = ("https://someone:s3cret@files.example.com/?token=s3cret",)
    mapped = map_client_error(error)
    assert isinstance(mapped, NetworkError)
    assert mapped.detail
    assert "s3cret" not in mapped.detail


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (aiohttp.ServerDisconnectedError(), "closed the connection without a response"),
        (aiohttp.SocketTimeoutError(), "sent nothing within the stall timeout"),
        (aiohttp.ConnectionTimeoutError(), "no connection to the origin within the stall timeout"),
        (aiohttp.ClientPayloadError(), "ended before the last byte"),
        (ConnectionRefusedError(111, "x"), "the connection failed: Connection refused"),
        (OSError("no number"), "the connection failed: OSError"),
        (RuntimeError("Connection closed."), "not valid HTTP"),
        (ValueError("x"), "the request failed: ValueError"),
    ],
)
def test_a_message_says_what_happened(error: BaseException, message: str) -> None:
    assert message in map_client_error(error).detail


def test_bytes_behind_the_content_invalidate_the_part_file() -> None:
    surplus, cut = map_client_error(SurplusError()), map_client_error(aiohttp.ClientPayloadError())
    assert isinstance(surplus, NetworkError)
    assert isinstance(cut, NetworkError)
    assert (surplus.invalidates_part, cut.invalidates_part) == (True, False)
