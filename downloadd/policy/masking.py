"""Secrets in URLs: what a URL looks like to everybody but its origin.

Pure: no I/O and no clock.
"""

import re
from typing import Final
from urllib.parse import unquote, unquote_plus

from downloadd.errors import InvalidUrlError
from downloadd.policy.url import AllowedUrl, parse_url

MASK: Final = "***"

_SUSPECT: Final = re.compile(r"[@?#;\x80-\U0010ffff]|%40")
"""Without one of these, a secret has no place in a URL."""
_HALF_PAIR: Final = re.compile(r"[\ud800-\udfff]")
_AT: Final = re.compile("@|%40|[\uff20\ufe6b]")
"""An at sign, also in the spellings that a careless client makes of it."""
_KNOWN_SCHEME: Final = re.compile(r"(?:https?|ftps?|sftp|ssh|scp|file|wss?|smb|s3):[/\\]*", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"[A-Za-z]+:[/\\]*([^/?#\\]*)")

_QUERY_PARAMETER: Final = re.compile(r"([?&;])([^=?&;]+)=([^?&;]*)")
_PATH_PARAMETER: Final = re.compile(r"(;)([^=/;]+)=([^/;]*)")

_SECRET_PARTS: Final = re.compile(
    "token|secret|passw|passphrase|passcode|signature|credential|apikey|accesskey|accessid|privatekey|sharedkey"
    "|authkey|sessionid|xgoog"
)
_SECRET_NAMES: Final = frozenset(
    {
        "accountkey",
        "assertion",
        "auth",
        "authcode",
        "authorization",
        "bearer",
        "code",
        "consumerkey",
        "functionkey",
        "hdnea",
        "hdntl",
        "hdnts",
        "hmac",
        "jsessionid",
        "jwt",
        "key",
        "keypairid",
        "md5",
        "oauth",
        "oauthverifier",
        "otp",
        "pass",
        "phpsessid",
        "pwd",
        "resourcekey",
        "rlkey",
        "samlresponse",
        "sas",
        "session",
        "sid",
        "sig",
        "sign",
        "subscriptionkey",
        "tempauth",
        "ticket",
        "userkey",
    }
)
_SLACK_TOKEN: Final = re.compile(r"xox[a-z]-", re.IGNORECASE)
"""How every token of Slack's begins; it stays one when a proxy of another name stands before Slack."""
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")


def show_url(text: str) -> str:
    """The URL for answers, history, logs, events and metrics: without userinfo and fragment, secret values as `***`.

    A parameter is secret by its name, whatever its case and percent-encoding: signatures, tokens, keys, passwords, as
    in the links of S3, GCS, Azure, CloudFront and Slack; or when it begins like a token of Slack's. Everything else
    stays byte for byte. Takes any text: of what is no URL, everything up to the last at sign is left out, and half
    surrogate pairs are replaced. Never raises.
    """
    if not _SUSPECT.search(text):
        return text
    text = _HALF_PAIR.sub("\ufffd", text)
    if _AT.search(text):
        text = _without_userinfo(text)
    path, mark, query = text.partition("#")[0].partition("?")
    if ";" in path:
        path = _PATH_PARAMETER.sub(_mask, path)
    if not mark:
        return path
    return path + _QUERY_PARAMETER.sub(_mask_slack if _is_slack(path) else _mask, mark + query)


def naming_segment(url: AllowedUrl) -> str:
    """What a file may be named by: the last segment of the path, percent-decoded as UTF-8, without secret parameters.

    "" when the path ends with a slash.
    """
    segment = url.request_target.partition("?")[0].rpartition("/")[2]
    return unquote(_PATH_PARAMETER.sub(lambda found: "" if _hides(found) else found[0], segment))


def _without_userinfo(text: str) -> str:
    try:
        parse_url(text)
    except InvalidUrlError:
        # Where the password of a malformed URL ends is anybody's guess; behind the last at sign there is none.
        scheme = _KNOWN_SCHEME.match(text)
        last = max(found.end() for found in _AT.finditer(text))
        return (scheme[0] if scheme else "") + text[last:]
    authority = _AUTHORITY.match(text)
    if authority is None or "@" not in authority[1]:
        return text
    return text[: authority.start(1)] + authority[1].rpartition("@")[2] + text[authority.end(1) :]


def _mask(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}={MASK}" if _hides(found) else found[0]


def _hides(found: re.Match[str]) -> bool:
    return _is_secret(found[2]) or _SLACK_TOKEN.match(found[3]) is not None


def _mask_slack(found: re.Match[str]) -> str:
    # `t` is the token of Slack's links to exports and files, and a position in a video elsewhere.
    return f"{found[1]}{found[2]}={MASK}" if _plain_name(found[2]) == "t" else _mask(found)


def _is_secret(name: str) -> bool:
    plain = _plain_name(name)
    return plain in _SECRET_NAMES or _SECRET_PARTS.search(plain) is not None


def _plain_name(name: str) -> str:
    return _NOT_IN_NAMES.sub("", unquote_plus(name).lower())


def _is_slack(text: str) -> bool:
    authority = _AUTHORITY.match(text)
    if authority is None:
        return False
    host = authority[1].partition(":")[0].lower().removesuffix(".")
    return host == "slack.com" or host.endswith(".slack.com")
