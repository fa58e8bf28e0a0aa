"""What of an origin's talk is listened to: so much before its answer, and nothing after it."""

from typing import Any, Final

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MOST_INTERIM: Final = 256
"""Interim responses (RFC 9110, section 15.2) before the final one."""
MOST_BYTES: Final = 1 << 20
"""Of everything before the final response has its head: interim ones, and empty lines."""
PIECE: Final = 16 * 1024
"""Bytes that are parsed at once until then: a flood of small messages must not hold the event loop up."""


END_OF_HEAD: Final = b"\r\n\r\n"
WITHOUT_CONTENT: Final = frozenset({204, 304})
"""Statuses whose responses end with their head, whatever it says (RFC 9112, section 6.3, rule 1)."""


class SurplusError(ClientPayloadError):
    """More came than the content that was announced: where it ends is a lie, or the message is not alone."""


def is_surplus(data: bytes) -> bool:
    """Whether bytes behind a content are more than the empty line that some origins send there."""
    return bool(data.strip(b"\r\n"))


class OriginProtocol(ResponseHandler):
    """A connection to an origin, given up when it talks on and on without an answer, or when nobody has asked."""

    _interim = 0
    _heard = 0
    _last = b""
    _content: StreamReader | None = None
    _is_idle = False

    def set_response_params(self, **parameters: Any) -> None:
        """The next request goes out."""
        self._interim, self._heard, self._last, self._content, self._is_idle = 0, 0, b"", None, False
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_idle and data:
            # They would be taken for the answer to the next request (RFC 9112, section 9.2).
            if is_surplus(data):
                self._refuse_surplus()
            elif self.transport is not None:
                self.transport.close()
            return
        # Nothing at all means that the parser is to go on with what it has.
        is_nothing = not data
        while data and self._content is None:
            piece = self._up_to_the_end_of_a_head(data)
            data = data[len(piece) :]
            self._heard += len(piece)
            if self._heard > MOST_BYTES or self._interim > MOST_INTERIM:
                self._give_up("no answer, and no end of what comes before it")
                return
            super().data_received(piece)
        if data or is_nothing:
            failed_before = self.exception() is not None
            super().data_received(data)
            if not failed_before and self.exception() is not None:
                self._fail_content()

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The head of a response came."""
        if self._content is not None:
            self._refuse_surplus()
            return
        head = data[0]
        if "chunked" in ",".join(head.headers.getall("Transfer-Encoding", ())).lower() and not head.chunked:
            # The parser has understood the field otherwise: it would give out the framing as content.
            self._give_up("a transfer coding that is not what it seems")
            return
        code = head.code
        if code >= 200 or code == 101:
            self._content = data[1]
            self._content.on_eof(self._rest)
            if code in WITHOUT_CONTENT:
                # What follows all the same would be taken for the answer to the next request.
                self.force_close()
        else:
            self._interim += 1
        super().feed_data(data, size)

    def _up_to_the_end_of_a_head(self, data: bytes) -> bytes:
        """The parser forgets a head when something is wrong with what it is given together with it."""
        piece = data[:PIECE]
        # Empty lines before a head belong to none.
        begin = 0 if self._last else len(piece) - len(piece.lstrip(b"\r\n"))
        seen = self._last + piece
        end = seen.find(END_OF_HEAD, begin)
        if end < 0:
            self._last = seen[begin:][1 - len(END_OF_HEAD) :]
            return piece
        end += len(END_OF_HEAD) - len(self._last)
        self._last = b""
        return piece[:end]

    def _refuse_surplus(self) -> None:
        if self.transport is not None:
            self.transport.close()
        if self._content is not None:
            self._content.set_exception(SurplusError("more came than the content that was announced"))

    def _fail_content(self) -> None:
        """What the parser cannot read is told of the connection, and not always of the content that is waited for."""
        if self._is_idle:
            self._refuse_surplus()
        elif self._content is not None and self._content.exception() is None:
            self._content.set_exception(ClientPayloadError("the framing of the content is malformed"))

    def _rest(self) -> None:
        self._is_idle = True

    def _give_up(self, why: str) -> None:
        if self.transport is not None:
            self.transport.close()
        self.set_exception(HttpProcessingError(code=400, message=why))
