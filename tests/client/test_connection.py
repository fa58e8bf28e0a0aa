"""Addresses, requests and errors of the client."""

from pathlib import Path

import pytest

from downloadd.client.connection import (
    Connection,
    InvalidResponseError,
    decode,
    format_directory,
    format_query,
    parse_error_response,
)


@pytest.mark.parametrize(
    ("address", "base_url"),
    [
        ("http://a.example", "http://a.example/"),
        ("https://u:p@a.example:1/fetch/", "https://a.example:1/fetch/"),
        ("unix:/run/api.sock", "http://localhost/"),
    ],
)
def test_an_address_becomes_a_base_url_without_credentials(address: str, base_url: str) -> None:
    assert Connection(address, token=None, ca_file=None, read_timeout=1).base_url == base_url


@pytest.mark.parametrize("address", ["", "a.example", "ftp://a.example", "http://"])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="must begin with http://, https:// or unix:"):
        Connection(address, token=None, ca_file=None, read_timeout=1)


def test_certificates_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing: cannot be read: No such file"):
        Connection("https://a.example", token=None, ca_file=tmp_path / "missing", read_timeout=1)


async def test_a_client_has_to_be_opened() -> None:
    connection = Connection("http://a.example", token=None, ca_file=None, read_timeout=1)
    with pytest.raises(RuntimeError, match="async with"):
        await connection.call(dict, "GET", "")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"1"])
def test_an_answer_of_another_program_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="another program"):
        decode(body, dict)


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        (b'{"error": "INVALID_URL", "detail": "x"}', "INVALID_URL", "x"),
        (b'{"error": "Not allowed [error-unauthorized]"}', "error-unauthorized", "Not allowed"),
        (b"<html>", "HTTP_502", None),
        (b'{"error": 5}', "HTTP_502", None),
        (b"[]", "HTTP_502", None),
        (b"\xff", "HTTP_502", None),
    ],
)
def test_every_refusal_has_a_code(body: bytes, code: str, detail: str | None) -> None:
    error = parse_error_response(502, body, "7")
    assert (error.code, error.detail, error.retry_after) == (code, detail, 7)


def test_queries_and_directories_are_encoded_once() -> None:
    assert format_query({"a": "x&y", "b": None, "c": ["1", "2"], "d": 0}) == "a=x%26y&c=1&c=2&d=0"
    assert format_directory("/a b//c%2Fd/") == "a%20b%2Fc%252Fd"
    assert format_directory("..") == "%2F.."
