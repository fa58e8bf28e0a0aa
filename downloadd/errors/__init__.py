"""Errors with a code: one class for each, which carries its row of the table; the table is collected from the classes.

The API, its document, the command and the reference read the table. To add an error, add a class to one of the modules.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from downloadd.errors import client, daemon, origin, quota, request, storage
from downloadd.errors.base import DownloadError as DownloadError
from downloadd.errors.base import Occasion as Occasion

# The names of the classes are written where they are defined, and nowhere else.
from downloadd.errors.client import *  # noqa: F403
from downloadd.errors.daemon import *  # noqa: F403
from downloadd.errors.origin import *  # noqa: F403
from downloadd.errors.quota import *  # noqa: F403
from downloadd.errors.request import *  # noqa: F403
from downloadd.errors.storage import *  # noqa: F403


def _collect_classes() -> Iterable[type[DownloadError]]:
    for module in (request, origin, storage, quota, daemon, client):
        for kind in vars(module).values():
            # A module may import the row that one of its cases belongs to.
            if isinstance(kind, type) and DownloadError in kind.__bases__ and kind.__module__ == module.__name__:
                yield kind


def _make_codes(classes: Iterable[type[DownloadError]]) -> Any:
    """Return the enumeration of the codes, and put its members in place of the strings that the classes declare."""
    # Any: type checkers know the enumeration by its declaration in `base`.
    enumeration: Any = StrEnum
    codes = enumeration("ErrorCode", {kind.code: kind.code for kind in classes}, module=__name__)
    codes.__doc__ = "Code of an error, for programs."
    for kind in classes:
        kind.code = codes(kind.code)
    return codes


_CLASSES: Final = tuple(_collect_classes())

if TYPE_CHECKING:
    from downloadd.errors.base import ErrorCode as ErrorCode
else:
    ErrorCode = _make_codes(_CLASSES)

ERRORS: Final[Mapping[ErrorCode, type[DownloadError]]] = MappingProxyType({kind.code: kind for kind in _CLASSES})
"""Class of each code; the errors that users see most come first."""

ORIGIN_ERRORS: Final = tuple(kind for kind in _CLASSES if kind.concerns_source)
"""Errors that concern one source of a download, so that a mirror may succeed."""


def codes_at(occasion: Occasion) -> tuple[ErrorCode, ...]:
    """Return the codes that can be reported at a point, in the order of the table."""
    return tuple(kind.code for kind in _CLASSES if occasion in kind.occasions)
