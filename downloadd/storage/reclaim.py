"""Repetition of a call that lacks space, after kept files were removed for it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from downloadd.errors import InsufficientStorageError

T = TypeVar("T")

Reclaim = Callable[[str, int], Awaitable[bool]]
"""Removal of files that are kept only while nothing else needs their space: frees so many bytes below a directory.

It returns False if it removed nothing, because all such files together are too small.
"""


async def reclaim_nothing(directory: str, nbytes: int) -> bool:
    """Return False: no file may be removed."""
    return False


async def with_reclaimed_space(call: Callable[[], Awaitable[T]], reclaim: Reclaim) -> T:
    """Return the result of `call`, which is repeated while it lacks space and `reclaim` frees some.

    Raises:
        InsufficientStorageError: the space is not enough, and `reclaim` cannot free it.
    """
    while True:
        try:
            return await call()
        except InsufficientStorageError as error:
            # Without `missing`, a part of the bytes may have been written: the call cannot be repeated.
            if error.missing is None or not await reclaim(error.directory, error.missing):
                raise
