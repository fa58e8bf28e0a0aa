"""Errors of the RPC interface: a code, and the texts of aria2 that clients show or compare.

Pure: no I/O and no clock.
"""

from typing import Final

METHOD_FAILED: Final = 1
"""Code of every error of a method; those of the envelope have codes of their own."""


class RpcError(Exception):
    """Error of one call."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
