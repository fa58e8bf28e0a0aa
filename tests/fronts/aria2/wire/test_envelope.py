import pytest

from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.wire import envelope


@pytest.mark.parametrize(
    ("error", "code", "text", "sent", "counted"),
    [
        (None, None, None, 200, 200),
        (envelope.parse_error(), -32700, "Parse error.", 500, 400),
        (envelope.invalid_params(), -32602, "Invalid params.", 500, 400),
        (envelope.invalid_request(), -32600, "Invalid Request.", 400, 400),
        (envelope.unauthorized(), 1, "Unauthorized", 400, 400),
        (RpcError(1, "GID a is not found"), 1, "GID a is not found", 400, 400),
    ],
)
def test_an_error_of_a_client_is_counted_as_one_whatever_status_aria2_sends(
    error: RpcError | None, code: int | None, text: str | None, sent: int, counted: int
) -> None:
    assert (getattr(error, "code", None), getattr(error, "message", None)) == (code, text)
    assert (envelope.http_status(error), envelope.counted_status(error)) == (sent, counted)


def test_an_error_without_a_text_of_aria2_says_what_to_do() -> None:
    assert "split it" in envelope.message_too_large(5).message
    assert "log" in envelope.internal_error().message
