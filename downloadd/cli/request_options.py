"""Options of `add` for request fields. Secrets can be read from files, because other users see the command line."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from downloadd.cli.parameters import one_of
from downloadd.request_fields import Method, split_cookies

if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:
    # Only the latest versions of click make it generic.
    _TextType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])

FORM_TYPE: Final = "application/x-www-form-urlencoded"
"""Content type of a body without the header field Content-Type, as curl and wget send it."""

NAMES: Final = (
    "headers", "cookies", "referer", "user_agent", "user", "password_file", "proxy", "method", "data",
)  # fmt: skip
"""Parameters of the options."""


class TextOrFile(_TextType):
    """Type of an option that takes a text, or `@FILE` for the text in a file; `@-` is standard input."""

    name = "TEXT|@FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        text = str(value)
        if not text.startswith("@"):
            return text
        try:
            return sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
            self.fail(f"{text[1:]} cannot be read: {reason}", param, ctx)


_OPTIONS: Final = (
    click.option(
        "-H", "--header", "headers", metavar="NAME: VALUE", multiple=True, type=TextOrFile(),
        help="Header field of the requests; @FILE for one on each line of a file.",
    ),
    click.option(
        "--cookie", "cookies", metavar="NAME=VALUE", multiple=True, type=TextOrFile(),
        help="Cookie of the requests, or several with semicolons between; @FILE for those in a file.",
    ),
    click.option("--referer", metavar="URL", help="Page that links to the file."),
    click.option("--user-agent", metavar="TEXT", help="Name of the program in the requests."),
    click.option(
        "--user", metavar="NAME", help="User for the origin; asks for the password, unless --password-file is given."
    ),
    click.option(
        "--password-file", metavar="FILE", help="Read the password of --user from this file; - is standard input."
    ),
    click.option("--proxy", metavar="NAME", help="Name of a proxy that the daemon has in its configuration."),
    click.option("--method", type=one_of(Method), help="Method of the requests; POST if --data is given."),
    click.option(
        "--data", type=TextOrFile(), metavar="TEXT|@FILE", help="Body of the requests, such as the fields of a form."
    ),
)  # fmt: skip


def request_options(function: F) -> F:
    """Add the options for request fields to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def pop_request_fields(options: dict[str, Any], urls: Sequence[str]) -> dict[str, Any]:
    """Remove the values of the options from `options`; return the request fields of a batch item.

    Asks for a password, or reads it: blocks.

    Raises:
        click.UsageError: a value is malformed, or secrets would go to several origins.
    """
    given = {name: options.pop(name) for name in NAMES}
    fields: dict[str, Any] = {
        "headers": _parse_headers(given["headers"]),
        "cookies": dict(split_cookies(";".join(";".join(text.splitlines()) for text in given["cookies"]))),
        "auth": _read_auth(given["user"], given["password_file"]),
        "body": given["data"],
        "method": given["method"],
        **{name: given[name] for name in ("referer", "user_agent", "proxy")},
    }
    if fields["body"] is not None:
        fields["method"] = fields["method"] or Method.POST
        if all(name.lower() != "content-type" for name in fields["headers"]):
            fields["headers"]["Content-Type"] = FORM_TYPE
    fields = {name: value for name, value in fields.items() if value}
    if fields.keys() - {"proxy", "user_agent"} and len(set(map(_origin, urls))) > 1:
        raise click.UsageError("--header, --cookie and other request fields are for one origin; name URLs of one")
    return fields


def _parse_headers(texts: Sequence[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in (line for text in texts for line in text.splitlines() if line.strip()):
        name, colon, value = line.partition(":")
        if not colon:
            raise click.UsageError("--header: write the name of the field, a colon and its value")
        if name.strip() in headers:
            raise click.UsageError(f"--header: {name.strip()} is given twice")
        headers[name.strip()] = value.strip()
    return headers


def _read_auth(user: str | None, password_file: str | None) -> Mapping[str, str] | None:
    if user is None:
        if password_file is not None:
            raise click.UsageError("--password-file needs --user")
        return None
    if password_file is not None:
        text: str = TextOrFile().convert(f"@{password_file}", None, None)
        return {"user": user, "password": text.partition("\n")[0].removesuffix("\r")}
    if not sys.stdin.isatty():
        raise click.UsageError("--user asks for the password on a terminal, and there is none; use --password-file")
    return {"user": user, "password": click.prompt(f"Password of {user}", hide_input=True, default="", err=True)}


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()
    except ValueError:
        # The daemon refuses it.
        return "", url
