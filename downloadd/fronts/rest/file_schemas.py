"""Schemas of the requests for finished files.

Pure: no I/O and no clock.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class FileQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /api/v1/downloads/{id}/file`."""

    disposition: Annotated[
        Literal["auto", "attachment"],
        Meta(description="`attachment`: browsers save the file, and do not show it."),
    ] = "auto"
    ticket: (
        Annotated[
            str,
            Meta(max_length=1000, description="In place of a token, from `POST /api/v1/downloads/{id}/link`."),
        ]
        | None
    ) = None


class FileLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link to the content of a file."""

    url: str
    """Path and query, for this file only. Whoever has it can read the file."""
    ticket: str
    """The value of `ticket` in it."""
    expires: int
    """Unix seconds until which it can be opened."""
    success: bool = True


class DirectoryFilesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /{directory}`, and `GET /{directory}?files=`."""

    files: Annotated[str, Meta(max_length=0, description="Takes no value; needed for the root.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="Entries on a page.")] = 100
    cursor: Annotated[str, Meta(max_length=1000, description="Start of the page; taken from a Link header.")] | None = (
        None
    )


class DirectoryFile(msgspec.Struct, frozen=True, kw_only=True):
    """A finished file or a directory."""

    name: str
    path: str
    """Below the storage root."""
    type: Literal["file", "directory"]
    size: Annotated[int, Meta(description="Bytes.")] | None
    modified: int
    """Unix seconds."""
    download_id: Annotated[str, Meta(description="Download that published it, if it is among the newest.")] | None


class DirectoryFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files and directories in a directory, ordered by name."""

    directory: str
    files: list[DirectoryFile]
