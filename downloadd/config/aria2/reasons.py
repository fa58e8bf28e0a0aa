"""Options of an `aria2.conf` that become no setting, with the reason.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from downloadd.aria2.unused import UNUSED_GROUPS

_PER_DOWNLOAD: Final = "there is no default for all downloads"
_PER_HOST: Final = "it is set for one host each, by `[[hosts]]` with"
_NOT_TO_ALL: Final = "it is not sent to all hosts; state it for one host each in `[[credentials]]`, or with"

REASON_GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        f"{_PER_DOWNLOAD}; a request states `speed_limit`": ("max-download-limit",),
        f"{_PER_DOWNLOAD}; a request states `retry_wait`, the least wait between attempts": ("retry-wait",),
        f"{_PER_DOWNLOAD}; a request states `min_speed`": ("lowest-speed-limit",),
        f"{_PER_DOWNLOAD}; a request states its name, checksum, gid and pause": ("checksum", "gid", "out", "pause"),
        f"{_NOT_TO_ALL} a download": ("header", "http-passwd", "http-user", "load-cookies", "referer", "user-agent"),
        "cookies of origins are kept for their download only": ("save-cookies",),
        f"{_PER_HOST} `connect_timeout`, or stated by a request": ("connect-timeout",),
        f"{_PER_HOST} `client_certificate` and `client_key`": ("certificate", "private-key"),
        f"{_PER_HOST} `min_tls_version`; TLS 1.2 is the oldest version": ("min-tls-version",),
        f"{_PER_HOST} `address_family`": ("disable-ipv6",),
        f"{_PER_HOST} `bind_address`": ("interface", "multiple-interface"),
        "`[[hooks]]` run programs with arguments of their own, see docs/how-to/hooks.md": (
            *("on-download-complete", "on-download-error", "on-download-pause", "on-download-start"),
            *("on-download-stop",),
        ),
        "the log goes to standard error; `--log-format` and `--log-level` change it": (
            *("console-log-level", "log", "log-level"),
        ),
        "requests may have 16 MiB": ("rpc-max-request-size",),
        "clients send a token; use `rpc-secret`": ("rpc-passwd", "rpc-user"),
        **UNUSED_GROUPS,
    }
)
"""Reasons why other options become no setting, with the options."""

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {option: reason for reason, options in REASON_GROUPS.items() for option in options}
)
"""The reason for each of them."""
