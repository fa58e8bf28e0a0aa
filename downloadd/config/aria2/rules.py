"""Table of the options of an `aria2.conf` that become settings; `reasons.py` has the others.

https://aria2.github.io/manual/en/html/aria2c.html describes the options. Pure: no I/O and no clock.
"""

import shlex
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from downloadd.config.aria2.proxies import proxy_rule
from downloadd.config.aria2.rule import ARIA2, Conf, Derived, OptionError, Rule, Unused
from downloadd.config.list_settings import PROXY_SCHEMES
from downloadd.download import Conflict

_DEFAULT_SPLIT: Final = 5
_DEFAULT_CONNECTIONS_PER_SERVER: Final = 1
_DEFAULT_CONCURRENT: Final = 5
_DEFAULT_PORT: Final = 6800
_MAX_SEGMENTS: Final = 16
_MAX_COUNT: Final = 1_000_000_000
_MAX_RETRIES: Final = 1000
_MIN_SECRET_CHARACTERS: Final = 16


# -- one option becomes one setting ------------------------------------------------------------------------------------


def _path(option: str) -> Callable[[Conf], Derived | Unused]:
    return lambda conf: Derived(value=path) if (path := conf.path(option)) else Unused("it is empty")


def _count(option: str, low: int = 0) -> Callable[[Conf], Derived]:
    return lambda conf: Derived(value=conf.number(option, 0, low))


def _listen_host(conf: Conf) -> Derived:
    return Derived(value="0.0.0.0" if conf.flag("rpc-listen-all") else "127.0.0.1")  # noqa: S104 - the option says so


def _allowed_origins(conf: Conf) -> Derived:
    return Derived(value=["*"] if conf.flag("rpc-allow-origin-all") else [])


def _max_retries(conf: Conf) -> Derived:
    tries = conf.number("max-tries", 0)
    return Derived(value=min(tries - 1, _MAX_RETRIES) if tries else _MAX_RETRIES)


def _certificate_check(conf: Conf) -> Unused:
    hint = "" if conf.flag("check-certificate") else "; trust an authority of your own with downloads.ca_file"
    return Unused(f"certificates are always checked{hint}")


def _input_file(option: str) -> Callable[[Conf], Unused]:
    def derive(conf: Conf) -> Unused:
        return Unused(f"import it with: downloadctl import --kind urls {shlex.quote(conf.path(option) or 'FILE')}")

    return derive


# -- several options become one setting --------------------------------------------------------------------------------


def _segments(conf: Conf) -> Derived:
    split = conf.number("split", _DEFAULT_SPLIT, 1)
    per_server = conf.number("max-connection-per-server", _DEFAULT_CONNECTIONS_PER_SERVER, 1)
    is_limited = per_server < split and not conf.line("max-connection-per-server")
    note = "max-connection-per-server, whose default is 1, limits it" if is_limited else ""
    return Derived(value=min(split, per_server, _MAX_SEGMENTS), note=note)


def _max_per_host(conf: Conf) -> Derived:
    per_server = conf.number("max-connection-per-server", 0, 1)
    concurrent = conf.number("max-concurrent-downloads", _DEFAULT_CONCURRENT, 1)
    return Derived(
        value=min(per_server * concurrent, _MAX_COUNT), note=f"{per_server} for each of {concurrent} downloads"
    )


def _netrc(conf: Conf) -> Derived | Unused:
    if conf.flag("no-netrc"):
        return Unused("no netrc file is read")
    return _path("netrc-path")(conf) if conf.line("netrc-path") else Unused("name the file with netrc-path")


def _conflict(conf: Conf) -> Derived | Unused:
    if conf.flag("allow-overwrite"):
        conflict = Conflict.OVERWRITE
    elif conf.flag("auto-file-renaming", default=True):
        conflict = Conflict.RENAME
    else:
        conflict = Conflict.ERROR
    value: dict[str, str | bool] = {"path": ""}
    if conf.flag("conditional-get"):
        value["skip_same"] = True
    elif conflict is Conflict.RENAME:
        return Unused("a file whose name is taken gets another one by default")
    return Derived(value=value if conflict is Conflict.RENAME else {**value, "conflict": conflict.value})


def _rpc_port(conf: Conf) -> Derived | Unused:
    if not conf.flag("enable-rpc", default=True):
        return Unused("only the API's own port is open; aria2.enabled = false closes /jsonrpc there")
    return Derived(value=conf.number("rpc-listen-port", _DEFAULT_PORT, 1))


def _rpc_user(conf: Conf) -> Derived:
    secret = conf.text("rpc-secret")
    if not secret:
        raise OptionError("rpc-secret", "may not be empty")
    digest = sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
    is_short = len(secret) < _MIN_SECRET_CHARACTERS
    return Derived(
        value={"id": ARIA2, "token_hash": f"sha256:{digest}"},
        note="it is short enough to be guessed; choose a longer one" if is_short else "",
    )


def _tls_file(option: str) -> Callable[[Conf], Derived | Unused]:
    def derive(conf: Conf) -> Derived | Unused:
        if not conf.flag("rpc-secure"):
            return Unused("rpc-secure is not true")
        if not conf.text("rpc-certificate"):
            return Unused("rpc-certificate is not given")
        if conf.text("rpc-certificate").lower().endswith((".p12", ".pfx")):
            return Unused("the certificate must be in PEM; convert it with: openssl pkcs12 -nodes")
        return _path(option)(conf)

    return derive


# -- the table ---------------------------------------------------------------------------------------------------------

RULES: Final = (
    Rule(
        options=("dir",),
        setting="storage.root",
        derive=_path("dir"),
        meaning="the path; `${HOME}`, and `~` at its beginning, is the home directory of the daemon",
    ),
    Rule(
        options=("max-concurrent-downloads",),
        setting="downloads.max_concurrent",
        derive=_count("max-concurrent-downloads"),
        meaning="the number",
    ),
    Rule(
        options=("split", "max-connection-per-server"),
        setting="downloads.segments",
        derive=_segments,
        meaning="the smaller of both, which is what aria2 opens to one server, at most 16; left out, `split` is 5 and "
        "`max-connection-per-server` is 1, as in aria2",
    ),
    Rule(
        options=("max-connection-per-server",),
        setting="downloads.max_per_host",
        derive=_max_per_host,
        meaning="the number times `max-concurrent-downloads` (5 if it is left out): the setting is for all downloads "
        "together, the option for each of them",
    ),
    Rule(
        options=("max-overall-download-limit",),
        setting="downloads.speed_limit",
        derive=lambda conf: Derived(value=conf.size("max-overall-download-limit")),
        meaning="the bytes per second; `K` is 1024, `M` 1024 K",
    ),
    Rule(
        options=("max-tries",),
        setting="downloads.max_retries",
        derive=_max_retries,
        meaning="one less, since the setting does not count the first attempt; the largest number for `0`. Attempts "
        "that bring new bytes, and those that fail because the host cannot be reached, are not counted",
    ),
    Rule(
        options=("timeout",),
        setting="downloads.stall_timeout",
        derive=_count("timeout", 1),
        meaning="the seconds without a byte",
    ),
    Rule(
        options=("ca-certificate",),
        setting="downloads.ca_file",
        derive=_path("ca-certificate"),
        meaning="the file; its authorities are trusted besides those of the system",
    ),
    Rule(
        options=("netrc-path", "no-netrc"),
        setting="downloads.netrc",
        derive=_netrc,
        meaning="the file, unless `no-netrc` is true; without `netrc-path`, no file is read",
    ),
    Rule(
        options=("allow-overwrite", "auto-file-renaming", "conditional-get"),
        setting="directories",
        derive=_conflict,
        meaning="of the storage root: `conflict` is `overwrite` if the first is true, else `error` if the second is "
        "false; `skip_same` is the third",
    ),
    proxy_rule(
        "all",
        PROXY_SCHEMES,
        "a proxy for the schemes that have none of their own. The user of the later line has precedence over one in "
        "the URL; `no-proxy` becomes `excluded_hosts`, where `.example.com` stands for the hosts below it",
    ),
    proxy_rule("http", ("http",), "a proxy for `http://`, as above"),
    proxy_rule("https", ("https",), "a proxy for `https://`, as above"),
    Rule(
        options=("enable-rpc", "rpc-listen-port"),
        setting="aria2.port",
        derive=_rpc_port,
        unless_equal="server.port",
        meaning="a port for aria2 clients alone, 6800 if only `enable-rpc` is given; none if `enable-rpc` is false. "
        "`/jsonrpc` is at the port of the API too",
    ),
    Rule(
        options=("rpc-secret",),
        setting="users",
        derive=_rpc_user,
        meaning=f"a user `{ARIA2}` with all permissions but `manage-users`, whose token is the secret; it signs in to "
        "the page too",
    ),
    Rule(
        options=("rpc-listen-all",),
        setting="server.host",
        derive=_listen_host,
        meaning="`0.0.0.0` if it is true, else `127.0.0.1`; for the API too",
        replaced_by=("server.listen",),
    ),
    Rule(
        options=("rpc-allow-origin-all",),
        setting="aria2.allow_origins",
        derive=_allowed_origins,
        meaning='`["*"]` if it is true, else `[]`: no page of another site may call',
    ),
    Rule(
        options=("rpc-certificate", "rpc-secure"),
        setting="server.tls_cert",
        derive=_tls_file("rpc-certificate"),
        meaning="the file, if `rpc-secure` is true and it is in PEM; for the API too",
    ),
    Rule(
        options=("rpc-private-key",),
        setting="server.tls_key",
        derive=_tls_file("rpc-private-key"),
        meaning="the file, if `rpc-certificate` is used",
        replaced_by=("server.tls_cert",),
    ),
    Rule(
        options=("check-certificate",),
        derive=_certificate_check,
        meaning="certificates are always checked; `downloads.ca_file` trusts an authority of your own",
    ),
    Rule(
        options=("input-file",),
        derive=_input_file("input-file"),
        meaning="`downloadctl import --kind urls FILE` imports it",
    ),
    Rule(
        options=("save-session",),
        derive=_input_file("save-session"),
        meaning="the daemon always keeps its queue; `downloadctl import --kind urls FILE` imports what aria2 saved",
    ),
)
"""Options that become settings, or whose reason depends on their value."""
