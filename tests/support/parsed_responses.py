"""Parsing of a whole response from pieces, for tests of the parsers."""

from collections.abc import Iterable

import msgspec

from downloadd.origin.framing import ContentDecoder, make_decoder
from downloadd.origin.message_head import MalformedResponseError
from downloadd.origin.response_parser import ResponseParser


class ParsedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Result of parsing all pieces."""

    status: int
    content: bytes
    is_complete: bool
    is_ended_by_close: bool
    behind: bytes
    """Bytes behind the content."""


def parse_response(pieces: Iterable[bytes]) -> ParsedResponse | None:
    """Return the response; None if it is refused, or its head is not complete."""
    parser = ResponseParser()
    status = 0
    decoder: ContentDecoder | None = None
    content = behind = b""
    try:
        for piece in pieces:
            if decoder is None:
                head = parser.feed(piece)
                if head is None:
                    continue
                status, decoder, piece = head.status, make_decoder(head), parser.rest
            if decoder.is_complete:
                behind += piece
            else:
                content += decoder.decode(piece)
    except MalformedResponseError:
        return None
    if decoder is None:
        return None
    return ParsedResponse(
        status=status,
        content=content,
        is_complete=decoder.is_complete,
        is_ended_by_close=decoder.is_ended_by_close,
        behind=decoder.surplus + behind,
    )
