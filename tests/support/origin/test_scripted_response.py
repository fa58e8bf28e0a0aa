import pytest
from support.origin.content import expected_bytes
from support.origin.scripted_response import (
    FIXED_LAST_MODIFIED,
    Framing,
    ScriptedResponse,
    content,
    error_response,
    plan_response,
    redirect,
)

FILE = ScriptedResponse(size=100, etag='"v1"', last_modified=FIXED_LAST_MODIFIED, date=FIXED_LAST_MODIFIED)


def fields(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")
    assert lines[-2:] == ["", ""]
    return dict(line.split(": ", 1) for line in lines[1:-2])


def test_a_plain_answer_has_the_fields_of_a_static_file() -> None:
    planned = plan_response(FILE, method="GET", range_field=None, if_range=None)
    assert planned.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert fields(planned.head) == {
        "Date": "Sun, 06 Nov 1994 08:49:37 GMT",
        "Content-Type": "application/octet-stream",
        "ETag": '"v1"',
        "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT",
        "Accept-Ranges": "bytes",
        "Content-Length": "100",
    }
    assert (planned.start, planned.end) == (0, 100)


@pytest.mark.parametrize(
    ("range_field", "if_range", "status", "start", "end", "content_range"),
    [
        pytest.param("bytes=40-", None, 206, 40, 100, "bytes 40-99/100", id="open end"),
        pytest.param("bytes=40-49", None, 206, 40, 50, "bytes 40-49/100", id="closed"),
        pytest.param("bytes=40-1000", None, 206, 40, 100, "bytes 40-99/100", id="past the end"),
        pytest.param("bytes=100-", None, 416, 0, 0, "bytes */100", id="from the end"),
        pytest.param("bytes=40-", '"v1"', 206, 40, 100, "bytes 40-99/100", id="same tag"),
        pytest.param("bytes=40-", '"v2"', 200, 0, 100, None, id="other tag"),
        pytest.param("bytes=40-", 'W/"v1"', 200, 0, 100, None, id="weak tag"),
        pytest.param("bytes=40-", "Sun, 06 Nov 1994 08:49:37 GMT", 206, 40, 100, "bytes 40-99/100", id="same date"),
        pytest.param("bytes=40-", "Sun, 06 Nov 1994 08:49:38 GMT", 200, 0, 100, None, id="other date"),
        pytest.param("lines=40-", None, 200, 0, 100, None, id="other unit"),
        pytest.param("bytes=1-2,4-5", None, 200, 0, 100, None, id="several ranges"),
    ],
)
def test_a_range_is_answered_as_http_requires(
    range_field: str, if_range: str | None, status: int, start: int, end: int, content_range: str | None
) -> None:
    planned = plan_response(FILE, method="GET", range_field=range_field, if_range=if_range)
    assert planned.head.startswith(b"HTTP/1.1 %d " % status)
    assert (planned.start, planned.end) == (start, end)
    assert fields(planned.head).get("Content-Range") == content_range


def test_a_range_can_be_ignored() -> None:
    answer = ScriptedResponse(size=100, honour_ranges=False)
    planned = plan_response(answer, method="GET", range_field="bytes=40-", if_range=None)
    assert planned.head.startswith(b"HTTP/1.1 200 ")
    assert "Accept-Ranges" not in fields(planned.head)


def test_a_broken_origin_ignores_if_range_and_sends_a_wrong_content_range() -> None:
    answer = ScriptedResponse(size=100, etag='"v2"', honour_if_range=False, content_range="bytes 0-9/10")
    planned = plan_response(answer, method="GET", range_field="bytes=40-", if_range='"v1"')
    assert planned.head.startswith(b"HTTP/1.1 206 ")
    assert fields(planned.head)["Content-Range"] == "bytes 0-9/10"
    assert planned.start == 40


def test_a_length_can_be_wrong_or_left_out() -> None:
    lie = plan_response(ScriptedResponse(size=5, content_length="5, 6"), method="GET", range_field=None, if_range=None)
    assert fields(lie.head)["Content-Length"] == "5, 6"
    for framing in (Framing.CHUNKED, Framing.CLOSE):
        planned = plan_response(
            ScriptedResponse(size=5, framing=framing), method="GET", range_field=None, if_range=None
        )
        assert "Content-Length" not in fields(planned.head)
        assert planned.close is (framing is Framing.CLOSE)


def test_a_field_can_hold_raw_octets() -> None:
    answer = ScriptedResponse(headers=[("X-Name", b"f\xe4.txt".decode("utf-8", "surrogateescape"))])
    planned = plan_response(answer, method="GET", range_field=None, if_range=None)
    assert b"X-Name: f\xe4.txt\r\n" in planned.head


def test_a_raw_head_is_sent_as_it_is() -> None:
    answer = ScriptedResponse(raw_head=b"HTTP/1.1 200 OK\nBroken\n\n", interim=b"HTTP/1.1 103 Early Hints\r\n\r\n")
    planned = plan_response(answer, method="GET", range_field=None, if_range=None)
    assert planned.head == b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\nBroken\n\n"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_some_responses_have_no_content(method: str, status: int) -> None:
    planned = plan_response(ScriptedResponse(size=9, status=status), method=method, range_field=None, if_range=None)
    assert planned.start == planned.end


def test_redirects_and_failures_have_their_fields() -> None:
    moved = plan_response(redirect("/%7Eb?x=%2F", 308), method="GET", range_field=None, if_range=None)
    assert fields(moved.head)["Location"] == "/%7Eb?x=%2F"
    failed = plan_response(error_response(503, retry_after="7"), method="GET", range_field="bytes=1-", if_range=None)
    assert failed.head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert fields(failed.head)["Retry-After"] == "7"


def test_content_is_synthetic_or_given() -> None:
    assert content(ScriptedResponse(size=10, seed=4), 3, 7) == expected_bytes(4, 3, 7)
    assert content(ScriptedResponse(body=b"0123456789"), 3, 7) == b"3456"
