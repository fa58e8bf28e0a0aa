"""Options of aria2 that are known here, as one table: the check of the value, and where it has an effect.

Options that are not in the table are ignored with any value. Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

import msgspec

from downloadd.fronts.aria2.options.option_values import (
    FALSE,
    Normalize,
    any_text,
    boolean,
    checksum,
    number,
    one_of,
    size,
)

MEBIBYTE: Final = 1 << 20
MAX_CONNECTIONS: Final = 16
"""Connections of one download to one server; the most that aria2 allows too."""
MAX_DELAY_SECONDS: Final = 600
"""Most seconds of each timeout and wait."""


class Use(Enum):
    """Use of an option."""

    START = "start"
    """Describes one new download; it has no effect as a global option."""
    DOWNLOAD = "download"
    """Applies to a download, and as a global option to those that are added later."""
    DAEMON = "daemon"
    """Applies to all downloads together; a global option only."""
    IGNORED = "ignored"
    """Has no effect; only its value is checked."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str
    use: Use
    normalize: Normalize
    is_list: bool = False
    """True if the value may be a list of texts, which are lines of one text otherwise."""


def _rows(use: Use, **normalizers: Normalize) -> tuple[Option, ...]:
    return tuple(
        Option(name=name.replace("_", "-"), use=use, normalize=normalize) for name, normalize in normalizers.items()
    )


def _booleans(*names: str) -> tuple[Option, ...]:
    return tuple(Option(name=name, use=Use.IGNORED, normalize=boolean) for name in names)


_TABLE: Final = (
    *_rows(
        Use.START,
        # Its form and uniqueness have errors of their own.
        gid=any_text,
        pause=boolean,
        out=any_text,
        checksum=checksum,
    ),
    Option(name="header", use=Use.DOWNLOAD, normalize=any_text, is_list=True),
    *_rows(
        Use.DOWNLOAD,
        dir=any_text,
        referer=any_text,
        user_agent=any_text,
        http_user=any_text,
        http_passwd=any_text,
        split=number(1),
        max_connection_per_server=number(1, MAX_CONNECTIONS),
        max_download_limit=size(),
        allow_overwrite=boolean,
        auto_file_renaming=boolean,
        conditional_get=boolean,
        max_tries=number(0),
        retry_wait=number(0, MAX_DELAY_SECONDS),
        timeout=number(1, MAX_DELAY_SECONDS),
        connect_timeout=number(1, MAX_DELAY_SECONDS),
        lowest_speed_limit=size(),
    ),
    *_rows(
        Use.DAEMON,
        max_concurrent_downloads=number(1),
        max_overall_download_limit=size(),
    ),
    *_rows(
        Use.IGNORED,
        # Both would save nothing; a download instead of them would be a surprise.
        dry_run=one_of(FALSE),
        hash_check_only=one_of(FALSE),
        file_allocation=one_of("none", "prealloc", "trunc", "falloc"),
        uri_selector=one_of("inorder", "feedback", "adaptive"),
        stream_piece_selector=one_of("default", "inorder", "random", "geom"),
        proxy_method=one_of("get", "tunnel"),
        min_split_size=size(MEBIBYTE, 1024 * MEBIBYTE),
        piece_length=size(MEBIBYTE, 1024 * MEBIBYTE),
        no_file_allocation_limit=size(),
        max_file_not_found=number(0),
        max_resume_failure_tries=number(0),
    ),
    *_booleans("allow-piece-length-change", "always-resume", "async-dns", "check-integrity"),
    *_booleans("content-disposition-default-utf8", "continue", "enable-http-keep-alive", "enable-http-pipelining"),
    *_booleans("enable-mmap", "force-save", "http-accept-gzip", "http-auth-challenge", "http-no-cache", "no-netrc"),
    *_booleans("parameterized-uri", "realtime-chunk-checksum", "remote-time", "remove-control-file", "reuse-uri"),
    *_booleans("save-not-found", "use-head"),
)

OPTIONS: Final[Mapping[str, Option]] = MappingProxyType({option.name: option for option in _TABLE})
"""The options by their names."""

EFFECTIVE: Final = frozenset(name for name, option in OPTIONS.items() if option.use is not Use.IGNORED)
"""Names of the options that have an effect."""

INHERITED: Final = frozenset(name for name, option in OPTIONS.items() if option.use is Use.DOWNLOAD)
"""Names of the options that a download takes from the global ones."""
