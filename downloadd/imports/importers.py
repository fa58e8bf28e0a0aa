"""The importers: one for each kind of file that can be uploaded.

Pure but for the file that an importer reads.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final, Protocol

from downloadd.imports.metalink import read_metalink
from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.imports.slack import read_slack
from downloadd.imports.tables import read_csv
from downloadd.imports.urls import read_urls
from downloadd.operation import Item, Kind
from downloadd.policy.masking import show_misplaced


class Importer(Protocol):
    """Reads one kind of file."""

    def __call__(self, file: BinaryIO) -> Iterator[Item]:
        """What is in the file, read once from its start to its end; blocks.

        Raises:
            ImportRefusedError: the file as a whole is not what it should be.
        """
        ...


IMPORTERS: Final[Mapping[Kind, Importer]] = MappingProxyType(
    {Kind.SLACK: read_slack, Kind.CSV: read_csv, Kind.URLS: read_urls, Kind.METALINK: read_metalink}
)


def kind_of(importer_key: str) -> Kind:
    """The kind that an `importerKey` names.

    Raises:
        ImportRefusedError: there is no such importer.
    """
    for kind in IMPORTERS:
        if kind == importer_key:
            return kind
    shown = show_misplaced(importer_key)[:100]
    raise ImportRefusedError(
        f"The importer ({shown}) has no import class defined; use one of {', '.join(IMPORTERS)}.",
        RefusalCode.IMPORTER_NOT_DEFINED,
    )
