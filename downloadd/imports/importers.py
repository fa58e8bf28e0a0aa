"""The importers: one for each kind of file that can be uploaded.

Pure but for the file that an importer reads.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final, Protocol

from downloadd.import_operation import ImportItem, ImportKind
from downloadd.imports.csv_tables import read_csv
from downloadd.imports.metalink import read_metalink
from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.imports.slack import read_slack
from downloadd.imports.url_list import read_urls
from downloadd.policy.redaction import redact_misplaced_url


class Importer(Protocol):
    """Reads one kind of file."""

    def __call__(self, file: BinaryIO) -> Iterator[ImportItem]:
        """What is in the file, read once from its start to its end; blocks.

        Raises:
            ImportRefusedError: the file as a whole is not what it should be.
        """
        ...


IMPORTERS: Final[Mapping[ImportKind, Importer]] = MappingProxyType(
    {
        ImportKind.SLACK: read_slack,
        ImportKind.CSV: read_csv,
        ImportKind.URLS: read_urls,
        ImportKind.METALINK: read_metalink,
    }
)


def parse_importer_key(importer_key: str) -> ImportKind:
    """The kind that an `importerKey` names.

    Raises:
        ImportRefusedError: there is no such importer.
    """
    for kind in IMPORTERS:
        if kind == importer_key:
            return kind
    shown = redact_misplaced_url(importer_key)[:100]
    raise ImportRefusedError(
        f"The importer ({shown}) has no import class defined; use one of {', '.join(IMPORTERS)}.",
        RefusalCode.IMPORTER_NOT_DEFINED,
    )
