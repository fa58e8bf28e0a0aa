"""Redaction of secrets in URLs, for everything but requests to the origin.

Pure: no I/O and no clock.
"""

import re
from functools import partial
from typing import Final
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes

from downloadd.charset_detection import decode_unlabelled
from downloadd.errors import InvalidUrlError
from downloadd.policy.url import MAX_URL_BYTES, ParsedUrl, parse_url

MASK: Final = "***"
MAX_SCANNED_CHARACTERS: Final = 4 * MAX_URL_BYTES
"""Characters of the longest text that is searched for secrets, which takes time."""

MAX_URL_NESTING: Final = 4
"""Levels of percent-encoding below which a URL within a URL is searched."""

_POSSIBLE_SECRET: Final = re.compile(r"[@?#;\x80-\U0010ffff]|%40|%3[Ff]|/bot[0-9]")
"""Texts without which a URL holds no secret."""
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_AT_SIGN: Final = re.compile("@|%40|[\uff20\ufe6b]")
"""An at sign, also percent-encoded or as a compatibility character."""
_KNOWN_SCHEME: Final = re.compile(r"(?:https?|ftps?|sftp|ssh|scp|file|wss?|smb|s3):[/\\]*", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"[A-Za-z]+:[/\\]*([^/?#\\]*)")

_URL_START: Final = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}")
"""Start of a value that is a URL, not a text with an at sign in it."""
_MISPLACED_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:[/\\]")

_QUERY_PARAMETER: Final = re.compile(r"([?&;])([^=?&;]*)(?:=([^?&;]*))?")
_DELIMITER: Final = re.compile(r"[?&;]")
_PATH_PARAMETER: Final = re.compile(r"(;)([^=/;]+)=([^/;]*)")

_BOT_TOKEN: Final = re.compile(r"((?:^|/)bot[0-9]+(?::|%3[Aa]))[^/;]+")
"""Token of a Telegram bot, which is a segment of the path."""

_SECRET_NAME_PARTS: Final = re.compile(
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
        "hash",
        "hdnea",
        "hdntl",
        "hdnts",
        "hm",
        "hmac",
        "jsessionid",
        "jwt",
        "key",
        "keypairid",
        "md5",
        "oauth",
        "oauthverifier",
        "oh",
        "otp",
        "pass",
        "phpsessid",
        "policy",
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
        "verify",
    }
)
_SLACK_TOKEN: Final = re.compile(r"xox[a-z]-", re.IGNORECASE)
"""Prefix of every Slack token, which a proxy with another host name may carry too."""
_NAME_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")


def redact_url(text: str) -> str:
    """Return a URL for answers, history, logs, events and metrics: without userinfo and fragment, secrets as `***`.

    A parameter is secret by its name, whatever its case and percent-encoding: signatures, tokens, keys, passwords, as
    in the links of S3, GCS, Azure, CloudFront, Discord, Facebook and Slack; or if its value begins like a Slack token.
    The token of a Telegram bot in a path is secret too. A URL in a parameter or in a segment of the path is redacted in
    the same way. All other bytes stay. Any text is accepted: of a text that is not a URL, everything up to the last at
    sign is omitted, and half surrogate pairs are replaced; of a text that is far too long, only the length is returned.
    Never raises.
    """
    if len(text) > MAX_SCANNED_CHARACTERS:
        return f"(a text of {len(text)} characters)"
    for _ in range(MAX_URL_NESTING):
        before, text = text, _redact(text, MAX_URL_NESTING)
        if text == before or "%" not in text:
            break
        # An omitted part of a value may have hidden the start of the next one.
    return text


def redact_misplaced_url(text: str) -> str:
    """Return a text that should be a name or a path, redacted if it is a URL."""
    text = text[:MAX_SCANNED_CHARACTERS]
    return redact_url(text) if "://" in text or _MISPLACED_URL.match(text) else text


def filename_from_url(url: ParsedUrl) -> str:
    """Return the last segment of the path, percent-decoded, without secret parameters.

    Octets that are not UTF-8 are read in the most plausible charset. It is "" if the path ends with a slash.
    """
    segment = url.request_target.partition("?")[0].rpartition("/")[2]
    if _is_plain(segment):
        return segment
    segment = _PATH_PARAMETER.sub(lambda found: "" if _is_secret_parameter(found) else found[0], segment)
    segment = _BOT_TOKEN.sub(lambda found: found[1].removesuffix(":").removesuffix("%3A").removesuffix("%3a"), segment)
    return decode_unlabelled(unquote_to_bytes(_redact_value(segment, MAX_URL_NESTING)))


def _is_plain(segment: str) -> bool:
    """Return True if a segment has neither parameters nor a token nor encoded characters; nearly all have none."""
    return segment.isascii() and not ("%" in segment or ";" in segment or "@" in segment or ":" in segment)


def _redact(text: str, depth: int) -> str:
    if not _POSSIBLE_SECRET.search(text):
        return text
    text = _SURROGATE.sub("\ufffd", text)
    if _AT_SIGN.search(text):
        text = _strip_userinfo(text)
    path, mark, query = text.partition("#")[0].partition("?")
    slack = _is_slack_url(path)
    if ";" in path:
        path = _PATH_PARAMETER.sub(_mask_path_parameter, path)
    if "/bot" in path:
        path = _BOT_TOKEN.sub(rf"\1{MASK}", path)
    if "%" in path:
        path = "/".join([_redact_value(segment, depth) if "%" in segment else segment for segment in path.split("/")])
    return path + _QUERY_PARAMETER.sub(partial(_mask_query_parameter, slack=slack, depth=depth), mark + query)


def _redact_value(value: str, depth: int) -> str:
    """Return the value of a parameter with nothing changed but its secrets."""
    if depth == 0 or ("%" not in value and "@" not in value):
        return value
    decoded = unquote(value)
    if _URL_START.match(decoded):
        redacted = _redact(decoded, depth - 1)
    elif decoded == value:
        return value
    else:
        # It may be a path with a query, or encoded more than once.
        start = next((found.start() for found in _DELIMITER.finditer(decoded)), len(decoded))
        mask = partial(_mask_query_parameter, slack=False, depth=depth - 1)
        redacted = _redact_value(decoded[:start], depth - 1) + _QUERY_PARAMETER.sub(mask, decoded[start:])
    if redacted == decoded:
        return value
    return redacted if decoded == value else quote(redacted, safe="*", errors="replace")


def _strip_userinfo(text: str) -> str:
    try:
        parse_url(text)
    except InvalidUrlError:
        # The end of the password in a malformed URL is unknown, but it is before the last at sign.
        scheme = _KNOWN_SCHEME.match(text)
        last = max(found.end() for found in _AT_SIGN.finditer(text))
        return (scheme[0] if scheme else "") + text[last:]
    authority = _AUTHORITY.match(text)
    if authority is None or "@" not in authority[1]:
        return text
    return text[: authority.start(1)] + authority[1].rpartition("@")[2] + text[authority.end(1) :]


def _mask_path_parameter(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}={MASK}" if _is_secret_parameter(found) else found[0]


def _mask_query_parameter(found: re.Match[str], *, slack: bool, depth: int) -> str:
    name = _redact_value(found[2], depth)
    if found[3] is None:
        return f"{found[1]}{name}"
    # `t` is the token of Slack's links to exports and files, and a position in a video elsewhere.
    secret = _is_secret_parameter(found) or (slack and _normalize_name(found[2]) == "t")
    return f"{found[1]}{name}={MASK if secret else _redact_value(found[3], depth)}"


def _is_secret_parameter(found: re.Match[str]) -> bool:
    return _is_secret_name(found[2]) or _SLACK_TOKEN.match(found[3]) is not None


def _is_secret_name(name: str) -> bool:
    plain = _normalize_name(name)
    return plain in _SECRET_NAMES or _SECRET_NAME_PARTS.search(plain) is not None


def _normalize_name(name: str) -> str:
    return _NAME_SEPARATORS.sub("", unquote_plus(name).lower())


def _is_slack_url(text: str) -> bool:
    authority = _AUTHORITY.match(text)
    if authority is None:
        return False
    host = authority[1].partition(":")[0].lower().removesuffix(".")
    return host == "slack.com" or host.endswith(".slack.com")
