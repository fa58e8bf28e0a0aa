"""Calls of users that another call has fenced: both change the same import at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager

from downloadd.import_operation import ImportErrorCode
from downloadd.imports.refusal import ImportRefusedError
from downloadd.records.import_protocol import ImportFencedError


def changed_meanwhile() -> ImportRefusedError:
    """Return the error of a call during which another one has changed the import."""
    return ImportRefusedError(
        "another request changes the import at the same time; get its state and repeat the request if it still applies",
        ImportErrorCode.WRONG_STATE,
    )


@contextmanager
def refused_if_fenced() -> Iterator[None]:
    """Raise `ImportRefusedError` in place of `ImportFencedError`."""
    try:
        yield
    except ImportFencedError as error:
        raise changed_meanwhile() from error
