"""Rules within one table of a list, such as `[[hooks]]`: combinations of keys that cannot be applied."""

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from msgspec import UNSET

from downloadd.config.limit_settings import LimitConfig
from downloadd.config.list_settings import SIGNING_KEY_COMMAND, SIGNING_PREFIX, CredentialConfig, HookConfig, HostConfig
from downloadd.request_fields import RequestFields, find_user_problems
from downloadd.tls import check_client_certificate

CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")

_MIN_SIGNING_KEY_BYTES: Final = 24
_MAX_SIGNING_KEY_BYTES: Final = 64
_INVALID_IN_URL: Final = re.compile(r"[\x00-\x20\x7f]")


def decode_secret(secret: str) -> bytes | None:
    """Return the key in the secret of a webhook (Standard Webhooks specification); None if it is malformed."""
    if not secret.startswith(SIGNING_PREFIX):
        return None
    try:
        key = b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except ValueError:
        return None
    return key if _MIN_SIGNING_KEY_BYTES <= len(key) <= _MAX_SIGNING_KEY_BYTES else None


def limit_problems(limit: LimitConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of limits that limit nothing."""
    if limit.speed_limit is UNSET and limit.max_concurrent is UNSET and limit.allow_starts:
        yield ("", "has no limit: give it speed_limit, max_concurrent, or allow_starts = false")


def host_problems(host: HostConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of settings of a host that cannot be applied."""
    if host == HostConfig(host=host.host):
        yield ("", "has no settings but the host; give it one, such as ca_file or slots")
    if host.client_certificate is UNSET:
        if host.client_key is not UNSET:
            yield ("client_key", "is given without client_certificate")
    elif not CONTROL_CHARACTER.search(host.client_certificate + (host.client_key or "")):
        try:
            check_client_certificate(host.client_certificate, host.client_key or "")
        except ValueError as error:
            yield ("client_certificate", str(error))
    if host.bind_address is not UNSET and host.address_family != "any":
        family = "ipv6" if ":" in host.bind_address else "ipv4"
        if family != host.address_family:
            yield ("bind_address", f"is an address of {family}, but address_family is {host.address_family}")


def credential_problems(credential: CredentialConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of what cannot be sent to an origin."""
    fields, problems = credential.collect()
    if fields == RequestFields() and not problems and not credential.user:
        yield ("", "has nothing to send: give it headers, cookies, referer or user_agent, or user and password")
    if credential.password and not credential.user:
        yield ("password", "is given without user")
    if credential.user and fields.has_header("authorization"):
        yield ("", "has both user and an Authorization header; only one of them can be sent")
    yield from problems
    yield from find_user_problems(credential.user, credential.password)


def hook_problems(hook: HookConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of a hook that cannot deliver."""
    if bool(hook.url) == bool(hook.command):
        yield ("", "expected either url and secret, or command")
    if hook.url:
        if not _is_webhook_url(hook.url):
            yield ("url", "expected an http:// or https:// URL")
        if decode_secret(hook.secret) is None:
            expected = f"{_MIN_SIGNING_KEY_BYTES} to {_MAX_SIGNING_KEY_BYTES} bytes in Base64"
            yield ("secret", f"expected {SIGNING_PREFIX} and {expected}, as `{SIGNING_KEY_COMMAND}` prints")
    elif hook.secret:
        yield ("secret", "is given without url")
    if hook.command and (not hook.command[0] or any("\0" in word for word in hook.command)):
        yield ("command", "expected a program and its arguments, without NUL")
    if CONTROL_CHARACTER.search(hook.directory):
        yield ("directory", "may not hold control characters")


def _is_webhook_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_complete = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_complete and not _INVALID_IN_URL.search(text)
