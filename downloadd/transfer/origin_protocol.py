"""What of an origin's talk is listened to: so much before its answer, and nothing after it."""

from typing import Any, Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MOST_INTERIM: Final = 256
"""Interim responses (RFC 9110, section 15.2) before the final one."""
MOST_BYTES: Final = 1 << 20
"""Of everything before the final response has its head: interim ones, and empty lines."""
PIECE: Final = 16 * 1024
"""Bytes that are parsed at once until then: a flood of small messages must not hold the event loop up."""


class OriginProtocol(ResponseHandler):
    """A connection to an origin, given up when it talks on and on without an answer, or when nobody has asked."""

    _interim = 0
    _heard = 0
    _is_answered = False
    _is_idle = False

    def set_response_params(self, **parameters: Any) -> None:
        """The next request goes out."""
        self._interim, self._heard, self._is_answered, self._is_idle = 0, 0, False, False
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_idle and data:
            # They would be taken for the answer to the next request (RFC 9112, section 9.2).
            if self.transport is not None:
                self.transport.close()
            return
        # Nothing at all means that the parser is to go on with what it has.
        is_nothing = not data
        while data and not self._is_answered:
            piece, data = data[:PIECE], data[PIECE:]
            self._heard += len(piece)
            if self._heard > MOST_BYTES or self._interim > MOST_INTERIM:
                self._give_up()
                return
            super().data_received(piece)
        if data or is_nothing:
            super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The head of a response came."""
        code = data[0].code
        if code >= 200 or code == 101:
            self._is_answered = True
            data[1].on_eof(self._rest)
        else:
            self._interim += 1
        super().feed_data(data, size)

    def _rest(self) -> None:
        self._is_idle = True

    def _give_up(self) -> None:
        if self.transport is not None:
            self.transport.close()
        self.set_exception(HttpProcessingError(code=400, message="no answer, and no end of what comes before it"))
