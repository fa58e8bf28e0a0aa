"""Parts of statements for PostgreSQL, derived from the table of columns.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Any, Final

from downloadd.download import Download
from downloadd.records.columns import Column
from downloadd.records.postgres.texts import escape

FOLDED: Final = "folded"
"""Column that a search reads; only ended downloads have it."""


def sql_type(column: Column) -> str:
    """Return the type of a column, without the condition that it is not null."""
    if float in column.stored:
        return "double precision"
    return "bigint" if int in column.stored else "text"


def is_nullable(column: Column) -> bool:
    """Return True if a column may be null."""
    return NoneType in column.stored


def names(columns: Iterable[Column]) -> str:
    """Return the list of the columns, quoted: `user` is a keyword."""
    return ", ".join(f'"{column.name}"' for column in columns)


def assignments(columns: Iterable[Column], first: int = 1) -> str:
    """Return an assignment of a parameter to each column, from `$first` on."""
    return ", ".join(f'"{column.name}" = ${number}' for number, column in enumerate(columns, first))


def arrays(types: Iterable[str], first: int = 1) -> str:
    """Return a table function of which each column is a parameter with an array."""
    return f"unnest({', '.join(f'${number}::{kind}[]' for number, kind in enumerate(types, first))})"


def array_of_texts(texts: Iterable[str | None]) -> list[str | None]:
    """Return the parameter for an array of texts, whose elements the driver does not escape."""
    return [None if text is None else escape(text) for text in texts]


def transpose(rows: Sequence[Sequence[Any]], types: Sequence[str]) -> list[Sequence[Any]]:
    """Return the parameters of `arrays` for rows."""
    columns = zip(*rows, strict=True)
    return [array_of_texts(column) if kind == "text" else column for column, kind in zip(columns, types, strict=True)]


def fold(download: Download) -> str:
    """Return the text in which a search finds a download."""
    return f"{download.request.redacted_url.lower()}\0{download.filename.lower()}"
