"""Options of aria2 that downloadd has no use for anywhere, each with the reason.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UNUSED_GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "BitTorrent is not supported": (
            *("bt-detach-seed-only", "bt-enable-hook-after-hash-check", "bt-enable-lpd", "bt-exclude-tracker"),
            *("bt-external-ip", "bt-force-encryption", "bt-hash-check-seed", "bt-load-saved-metadata"),
            *("bt-lpd-interface", "bt-max-open-files", "bt-max-peers", "bt-metadata-only", "bt-min-crypto-level"),
            *("bt-prioritize-piece", "bt-remove-unselected-file", "bt-request-peer-speed-limit", "bt-require-crypto"),
            *("bt-save-metadata", "bt-seed-unverified", "bt-stop-timeout", "bt-tracker", "bt-tracker-connect-timeout"),
            *("bt-tracker-interval", "bt-tracker-timeout", "dht-entry-point", "dht-entry-point6", "dht-file-path"),
            *("dht-file-path6", "dht-listen-addr6", "dht-listen-port", "dht-message-timeout", "dscp", "enable-dht"),
            *("enable-dht6", "enable-peer-exchange", "follow-torrent", "index-out", "listen-port"),
            *("max-overall-upload-limit", "max-upload-limit", "on-bt-download-complete", "pause-metadata"),
            *("peer-agent", "peer-id-prefix", "rpc-save-upload-metadata", "seed-ratio", "seed-time", "select-file"),
            *("show-files", "torrent-file"),
        ),
        "FTP and SFTP are not supported": (
            *("ftp-passwd", "ftp-pasv", "ftp-proxy", "ftp-proxy-passwd", "ftp-proxy-user", "ftp-reuse-connection"),
            *("ftp-type", "ftp-user", "ssh-host-key-md"),
        ),
        "an import or `aria2.addMetalink` reads a Metalink: all of its files, from http and https mirrors": (
            *("follow-metalink", "metalink-base-uri", "metalink-enable-unique-protocol", "metalink-file"),
            *("metalink-language", "metalink-location", "metalink-os", "metalink-preferred-protocol"),
            *("metalink-version",),
        ),
        "a transfer is always resumed if there is evidence that its bytes belong together, else it starts over": (
            *("allow-piece-length-change", "always-resume", "auto-save-interval", "continue"),
            *("max-resume-failure-tries", "remove-control-file"),
        ),
        "a checksum is always verified, and a file that has another one is not published": (
            *("check-integrity", "hash-check-only", "no-want-digest-header", "realtime-chunk-checksum"),
        ),
        "downloadd chooses the parts of a file that its connections receive, and the mirrors, by itself": (
            *("min-split-size", "piece-length", "reuse-uri", "server-stat-if", "server-stat-of"),
            *("server-stat-timeout", "stream-piece-selector", "uri-selector"),
        ),
        "downloadd reserves and writes files in its own way": (
            *("disk-cache", "enable-mmap", "file-allocation", "max-mmap-limit", "no-file-allocation-limit"),
        ),
        "connections are kept and reused, without pipelining": ("enable-http-keep-alive", "enable-http-pipelining"),
        "requests have the fields that downloading needs; state others with `header` of a download": (
            *("http-accept-gzip", "http-auth-challenge", "http-no-cache", "use-head"),
        ),
        "URLs that begin with https:// go through a tunnel of the proxy, others do not": ("proxy-method",),
        "names are resolved by the system": ("async-dns", "async-dns-server", "enable-async-dns6"),
        "the encoding of a name that an origin states is detected": ("content-disposition-default-utf8",),
        "the modification time of a file is always that of the origin": ("remote-time",),
        "a missing file fails at once": ("max-file-not-found",),
        "write each URL in full": ("parameterized-uri",),
        "each URL is a download of its own, in the order of the queue": ("force-sequential",),
        "`downloadctl probe` asks an origin without downloading": ("dry-run",),
        "the queue and the history are always kept, and survive a crash": (
            *("deferred-input", "force-save", "keep-unfinished-download-result", "save-not-found"),
            *("save-session-interval",),
        ),
        "aria2 clients are shown the newest 1000 results; `history.keep_count` limits the history": (
            "max-download-result",
        ),
        "the daemon has no display; the page and `downloadctl watch` show the progress": (
            *("download-result", "enable-color", "human-readable", "quiet", "show-console-readout", "stderr"),
            *("summary-interval", "truncate-console-readout"),
        ),
        "it is for the process of aria2": (
            *("conf-path", "daemon", "event-poll", "help", "no-conf", "rlimit-nofile", "socket-recv-buffer-size"),
            *("stop", "stop-with-process", "version"),
        ),
        "the number of downloads does not depend on the speed": ("optimize-concurrent-downloads",),
    }
)
"""Reasons, as the end of a sentence, with their options."""

UNUSED: Final[Mapping[str, str]] = MappingProxyType(
    {option: reason for reason, options in UNUSED_GROUPS.items() for option in options}
)
"""The reason for each option."""
