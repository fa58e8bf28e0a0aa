"""Options as parameters of a download: the request of a new one, and the change of one that exists.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from downloadd.download import Conflict, Download
from downloadd.download_request import MAX_SOURCES, DownloadRequest, RequestFieldParameters
from downloadd.errors import InvalidUrlError
from downloadd.fronts.aria2.errors import ErrorText, make_error
from downloadd.fronts.aria2.options.header_lines import FIELD_OPTIONS, make_field_parameters
from downloadd.fronts.aria2.options.locations import find_directory, split_name
from downloadd.fronts.aria2.options.option_table import MAX_CONNECTIONS
from downloadd.fronts.aria2.options.option_values import FALSE, TRUE
from downloadd.fronts.aria2.options.options import Options
from downloadd.manager.protocol import DownloadChange
from downloadd.policy.url import has_http_scheme, parse_url

DEFAULT_SPLIT: Final = 5
"""Value of `split` beside a `max-connection-per-server`, as in aria2."""
MAX_RETRIES: Final = 1000
"""Most retries of a download; they stand for `max-tries=0`, which has no limit in aria2."""

_GID: Final = re.compile(r"[0-9A-Fa-f]{16}")
_NO_GID: Final = "0" * 16


def select_urls(uris: Sequence[str]) -> list[str]:
    """Return the URIs that can be used, each once, and at most `MAX_SOURCES` of them; others are ignored.

    Raises:
        RpcError: there is none.
    """
    if not uris:
        raise make_error(ErrorText.NO_URI_GIVEN)
    urls = list(dict.fromkeys(uri for uri in uris if has_http_scheme(uri)))[:MAX_SOURCES]
    if not urls:
        raise make_error(ErrorText.NO_URI_USABLE)
    return urls


def make_request(options: Options, urls: Sequence[str], *, root: str, position: int | None = None) -> DownloadRequest:
    """Return the request for a new download.

    Args:
        options: checked options of the download, with the global ones.
        urls: URL and mirrors.
        root: the absolute path of the storage root.
        position: place in the waiting list; None for its end.

    Raises:
        RpcError: an option cannot be used.
    """
    directory = find_directory(options.get("dir", ""), root)
    name = None
    if options.get("out"):
        directory, name = split_name(options["out"], directory)
    return DownloadRequest(
        url=urls[0],
        mirrors=tuple(urls[1:]),
        directory=directory,
        filename=name,
        # aria2 limits the time of an attempt, never that of the whole download.
        timeout=0,
        gid=_read_gid(options),
        position=position,
        paused=options.get("pause") == TRUE,
        checksum=options.get("checksum"),
        conflict=_read_conflict(options),
        skip_same=options["conditional-get"] == TRUE if "conditional-get" in options else None,
        segments=_read_segments(options, urls),
        speed_limit=int(options.get("max-download-limit", 0)),
        **_read_attempt_options(options),
        **make_field_parameters(options, urls[0]),
    )


def make_change(download: Download, given: Options, present: Options, *, root: str) -> DownloadChange:
    """Return the change of a download to options; what is not given, or the same already, stays.

    Args:
        download: the download.
        given: the checked options to change.
        present: all options of the download as they are now.
        root: the absolute path of the storage root.

    Raises:
        RpcError: an option cannot be used.
    """
    names = {name for name, text in given.items() if present.get(name) != text}
    options = {**present, **given}
    request = download.request
    changes: dict[str, Any] = {}
    directory = find_directory(options["dir"], root) if "dir" in names else request.directory
    if "out" in names and given["out"]:
        directory, changes["filename"] = split_name(given["out"], directory)
    if directory != request.directory:
        changes["directory"] = directory
    if "checksum" in names:
        changes["checksum"] = given["checksum"]
    if "max-download-limit" in names:
        changes["speed_limit"] = int(given["max-download-limit"])
    if names & {"allow-overwrite", "auto-file-renaming"}:
        changes["conflict"] = _read_conflict(options)
    if names & {"split", "max-connection-per-server"}:
        changes["segments"] = _change_segments(download, given)
    changes |= _read_attempt_options({name: given[name] for name in names})
    if names & FIELD_OPTIONS:
        changes["fields"] = _replace_fields(download, options)
    return DownloadChange(**changes)


def _change_segments(download: Download, given: Options) -> int | None:
    request = download.request
    connections = {"split": str(request.segments)}
    connections |= {name: text for name, text in given.items() if name in {"split", "max-connection-per-server"}}
    return _read_segments(connections, [request.url, *(mirror.url for mirror in request.mirrors)])


def _replace_fields(download: Download, options: Options) -> RequestFieldParameters:
    fields = download.request.fields
    kept: dict[str, Any] = {}
    if fields is not None:
        kept = {"proxy": fields.proxy, "method": fields.method, "body": fields.body}
    return RequestFieldParameters(**kept, **make_field_parameters(options, download.request.url))


def _read_gid(options: Options) -> str | None:
    gid = options.get("gid")
    if gid is None:
        return None
    if not _GID.fullmatch(gid) or gid == _NO_GID:
        raise make_error(ErrorText.INVALID_GID, gid=gid, reason="expected 16 hex digits that are not all 0")
    return gid.lower()


def _read_conflict(options: Options) -> Conflict | None:
    """Return the action if the name is taken; None for that of the directory."""
    overwrite, rename = options.get("allow-overwrite"), options.get("auto-file-renaming")
    if overwrite == TRUE:
        return Conflict.OVERWRITE
    if rename == FALSE:
        return Conflict.ERROR
    return None if overwrite is None and rename is None else Conflict.RENAME


def _read_segments(options: Options, urls: Collection[str]) -> int | None:
    """Return the number of parallel connections; None for the configured one."""
    split, per_server = options.get("split"), options.get("max-connection-per-server")
    if split is None and per_server is None:
        return None
    connections = DEFAULT_SPLIT if split is None else int(split)
    if per_server is not None:
        connections = min(connections, int(per_server) * _count_servers(urls))
    return min(connections, MAX_CONNECTIONS)


def _count_servers(urls: Collection[str]) -> int:
    origins = set()
    for url in urls:
        try:
            origins.add(parse_url(url).origin)
        except InvalidUrlError:
            # The download is refused with it.
            continue
    return max(1, len(origins))


def _read_attempt_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Return the limits of attempts, without those that are not given."""
    values = {name: int(text) for name, text in options.items() if name in _ATTEMPT_OPTIONS}
    if "max-tries" in values:
        tries = values["max-tries"]
        values["max-tries"] = MAX_RETRIES if tries == 0 else min(tries - 1, MAX_RETRIES)
    return {_ATTEMPT_OPTIONS[name]: value for name, value in values.items()}


_ATTEMPT_OPTIONS: Final = {
    "max-tries": "max_retries",
    "retry-wait": "retry_wait",
    "timeout": "stall_timeout",
    "connect-timeout": "connect_timeout",
    "lowest-speed-limit": "min_speed",
}
"""Parameter of a download for each of these options."""
