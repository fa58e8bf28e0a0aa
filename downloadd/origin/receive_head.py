"""Receipt of the final head of a response."""

from downloadd.origin.message_head import MessageHead
from downloadd.origin.response_parser import ResponseParser
from downloadd.origin.stream import MAX_READ_BYTES, Stream


async def receive_head(stream: Stream, parser: ResponseParser, *, timeout: float | None) -> MessageHead | None:
    """Wait for the final head of a response and return it; None if the connection ended before it.

    The bytes behind it are in `parser.rest`.

    Raises:
        TimeoutError: nothing arrived within `timeout` seconds.
        MalformedResponseError: the response is malformed, or too long before its content.
        OSError, ssl.SSLError: the connection broke.
    """
    while data := await stream.receive(MAX_READ_BYTES, timeout=timeout):
        head = parser.feed(data)
        if head is not None:
            return head
    return None
