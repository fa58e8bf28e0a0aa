"""Proxies of an `aria2.conf`, as tables of `[[proxies]]`.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any, Final

from downloadd.config.aria2.rule import ARIA2, Conf, Derived, OptionError, Rule, Unused
from downloadd.config.list_settings import PROXY_SCHEMES

_USERINFO: Final = re.compile(r"(?<=://)[^/?#]*@")


def _proxy(prefix: str, schemes: Sequence[str]) -> Callable[[Conf], Derived | Unused | None]:
    """Return the function that derives the proxy of `<prefix>-proxy`."""
    option = f"{prefix}-proxy"

    def derive(conf: Conf) -> Derived | Unused | None:
        given = tuple(each for each in schemes if len(schemes) == 1 or not conf.line(f"{each}-proxy"))
        if not conf.text(option):
            return _without_proxy(conf, option)
        if not given:
            return Unused("http-proxy and https-proxy replace it")
        text = conf.text(option)
        url = text if "://" in text else f"http://{text}"
        fields: dict[str, Any] = {"name": ARIA2 if prefix == "all" else f"{ARIA2}-{prefix}", "url": url}
        # The later line of the two has precedence, as in aria2.
        user_line = conf.line(f"{option}-user")
        if user_line and (user_line > conf.line(option) or _USERINFO.search(url) is None):
            fields["url"] = _USERINFO.sub("", url)
            fields |= {"user": conf.text(f"{option}-user"), "password": conf.text(f"{option}-passwd")}
        return Derived(value=fields | {"excluded_hosts": _excluded_hosts(conf), "schemes": list(given)})

    return derive


def _without_proxy(conf: Conf, option: str) -> Unused | None:
    if conf.line(option):
        return Unused("it is empty, so that connections are direct")
    if conf.line(f"{option}-user") or conf.line(f"{option}-passwd"):
        return Unused(f"{option} is not given")
    has_other = any(conf.text(f"{prefix}-proxy") for prefix in ("all", *PROXY_SCHEMES))
    return None if has_other else Unused("no proxy is given")


def _excluded_hosts(conf: Conf) -> list[str]:
    return [
        _excluded_host(entry)
        for text in conf.text("no-proxy").split(",")
        # Entries with a wildcard have no effect in aria2.
        if (entry := text.strip()) and "*" not in entry
    ]


def _excluded_host(entry: str) -> str:
    if "/" not in entry:
        return f"*{entry}" if entry.startswith(".") else entry
    try:
        return str(ip_network(entry, strict=False))
    except ValueError:
        raise OptionError("no-proxy", "expected names, domains and networks, separated by commas") from None


def proxy_rule(prefix: str, schemes: Sequence[str], meaning: str) -> Rule:
    """Return the rule for `<prefix>-proxy` and the options beside it."""
    option = f"{prefix}-proxy"
    names = (option, f"{option}-user", f"{option}-passwd", "no-proxy")
    return Rule(options=names, setting="proxies", derive=_proxy(prefix, schemes), meaning=meaning)
