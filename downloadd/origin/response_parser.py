"""Parser of one response up to its content. Pure: no I/O and no clock."""

from typing import Final

from downloadd.origin.message_head import (
    MAX_HEAD_BYTES,
    PROTOCOL_PREFIX,
    MalformedResponseError,
    MessageHead,
    find_head_end,
    parse_message_head,
)

MAX_INTERIM_RESPONSES: Final = 256
"""Interim responses (RFC 9110, section 15.2) before the final one."""
MAX_PRELIMINARY_BYTES: Final = 1 << 20
"""Bytes before the end of the final head: interim responses and empty lines."""


class ResponseParser:
    """Parser of the heads of one response: any number of interim ones, and the final one.

    Attributes:
        rest: bytes behind the final head.
    """

    def __init__(self) -> None:
        self.rest = b""
        self._buffer = bytearray()
        self._searched = 0
        self._received = 0
        self._interim_count = 0

    @property
    def has_input(self) -> bool:
        """True after bytes were received."""
        return self._received > 0

    def feed(self, data: bytes) -> MessageHead | None:
        """Add received bytes; return the final head when it is complete.

        Raises:
            MalformedResponseError: the response is malformed, or too long before its content.
        """
        self._received += len(data)
        self._buffer += data
        while True:
            head = self._next_head()
            if head is None:
                if self._received > MAX_PRELIMINARY_BYTES:
                    raise MalformedResponseError("too many bytes before the final response")
                return None
            if head.status >= 200 or head.status == 101:
                self.rest = bytes(self._buffer)
                self._buffer.clear()
                return head
            self._interim_count += 1
            if self._interim_count > MAX_INTERIM_RESPONSES:
                raise MalformedResponseError("too many interim responses")

    def _next_head(self) -> MessageHead | None:
        # Empty lines before a status line are ignored (RFC 9112, section 2.2).
        blank = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
        del self._buffer[:blank]
        if not (PROTOCOL_PREFIX.startswith(self._buffer) or self._buffer.startswith(PROTOCOL_PREFIX)):
            raise MalformedResponseError("another protocol")
        end = find_head_end(self._buffer, max(0, self._searched - blank))
        self._searched = len(self._buffer)
        if (self._searched if end is None else end) > MAX_HEAD_BYTES:
            raise MalformedResponseError("too long a head")
        if end is None:
            return None
        head = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._searched = 0
        return parse_message_head(head)
