"""Table of the importers: one line for each kind of import file.

Pure but for the file that an importer reads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final

import msgspec

from downloadd.import_operation import ImportItem
from downloadd.imports.csv_tables import read_csv
from downloadd.imports.list_options import PARSERS
from downloadd.imports.mattermost import read_mattermost
from downloadd.imports.metalink import read_metalink
from downloadd.imports.refusal import UnknownImporterError
from downloadd.imports.slack import read_slack
from downloadd.imports.url_list import read_urls
from downloadd.imports.zulip import read_zulip

Reader = Callable[[BinaryIO], Iterator[ImportItem]]
"""Function that yields the items of a file, read once from start to end.

It blocks. It raises `ImportRefusedError` if the file as a whole is not of its kind.
"""

_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
"""The byte order mark of UTF-8, and white space."""


class Importer(msgspec.Struct, frozen=True, kw_only=True):
    """Reader of one kind of import file."""

    key: str
    """Name in the API, on the command line and in the records."""
    title: str
    """Name for people."""
    upload_hint: str
    """Description of the file, in the page's upload form."""
    content: str
    """Content of the file, for the reference (Markdown)."""
    read: Reader
    suffixes: tuple[str, ...] = ()
    """Endings of file names after the last dot, in lower case."""
    signatures: tuple[bytes, ...] = ()
    """First bytes of a file."""
    markup: tuple[bytes, ...] = ()
    """First characters of a text, after the byte order mark and white space."""
    accepts_text: bool = False
    """True for the importer of texts that no other importer recognizes."""


def _join_options(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}=`" for name in names)


_TABLE: Final = (
    Importer(
        key="slack",
        title="Slack",
        upload_hint="Slack export (zip)",
        content="zip of a Slack export, or of a program that writes its format: `users.json` or `org_users.json`, "
        "`channels.json`, `groups.json`, `mpims.json`, `dms.json`, `canvases.json`, and a directory of messages for "
        "each conversation; files in `__uploads/` and `attachments/` are taken from the archive",
        read=read_slack,
        signatures=(b"PK",),
    ),
    Importer(
        key="csv",
        title="CSV",
        upload_hint="CSV, or a zip of them",
        content="zip in [Rocket.Chat's CSV format](https://docs.rocket.chat/docs/csv-importer), or one table with a "
        "header line that has `url` and may have `directory`, `filename` and `checksum`, or hex digits in columns "
        "named by their algorithm (`sha256`); separated by commas, semicolons or tabs",
        read=read_csv,
        suffixes=("csv",),
    ),
    Importer(
        key="urls",
        title="URLs",
        upload_hint="Text with links",
        content="text, also compressed by gzip, with one file a line, as `wget -i` and `aria2c -i` read it: tabs "
        "separate mirrors, `#` begins a comment, and indented lines below a URL are options of aria2: `out=`, `dir=`, "
        "`checksum=`, request fields (`header=`, `referer=`, `user-agent=`, `http-user=`, `http-passwd=`), and "
        f"{_join_options(PARSERS)}; `SHA256SUMS` and other lists of checksums verify the files beside them",
        read=read_urls,
        accepts_text=True,
    ),
    Importer(
        key="metalink",
        title="Metalink",
        upload_hint="Metalink",
        content="Metalink 4 (RFC 5854) or 3, with mirrors, sizes and hashes",
        read=read_metalink,
        suffixes=("meta4", "metalink"),
        markup=(b"<?xml", b"<metalink"),
    ),
    Importer(
        key="mattermost",
        title="Mattermost",
        upload_hint="Mattermost bulk export (zip)",
        content="zip of a "
        "[bulk export](https://docs.mattermost.com/administration-guide/onboard/bulk-loading-data.html) "
        "of Mattermost with its attachments in `data/`, which are taken from the archive",
        read=read_mattermost,
        suffixes=("jsonl",),
    ),
    Importer(
        key="zulip",
        title="Zulip",
        upload_hint="Zulip export (tar.gz)",
        content="tar.gz of an [export of Zulip](https://zulip.com/help/export-your-organization) with its files in "
        "`uploads/`, which are taken from the archive",
        read=read_zulip,
        signatures=(b"\x1f\x8b",),
    ),
)

IMPORTERS: Final[Mapping[str, Importer]] = MappingProxyType({importer.key: importer for importer in _TABLE})
"""The importers by their keys."""


def find_importer(key: str) -> Importer:
    """Return the importer with this key.

    Raises:
        UnknownImporterError: no importer has it.
    """
    importer = IMPORTERS.get(key)
    if importer is None:
        raise UnknownImporterError(key, tuple(IMPORTERS))
    return importer


def guess_importer(name: str, head: bytes) -> Importer | None:
    """Return the importer for a file by its name and first bytes; None if no importer can read it."""
    start = head.lstrip(_BLANK)
    suffix = name.lower().rpartition(".")[2]
    is_text = b"\0" not in head or head.startswith(_UTF_16_MARKS)
    conditions: tuple[Callable[[Importer], bool], ...] = (
        lambda one: head.startswith(one.signatures),
        lambda one: start.startswith(one.markup),
        lambda one: suffix in one.suffixes,
        lambda one: one.accepts_text and is_text,
    )
    return next((one for condition in conditions for one in _TABLE if condition(one)), None)
