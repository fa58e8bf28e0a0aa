"""Where the daemon is and with which token it is asked: by flag, by variable, or from the state directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from downloadd.client import Client
from downloadd.config import default_state_dir
from downloadd.daemon.address_file import read_address
from downloadd.daemon.first_user import TOKEN_FILE_NAME

DEFAULT_URL: Final = "http://127.0.0.1:8080"
SERVICE_STATE_DIR: Final = Path("/var/lib/downloadd")
"""The state directory of the systemd service."""
_MAX_TOKEN_CHARACTERS: Final = 1024


class DaemonLocation(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to ask the daemon."""

    url: str
    token: str | None
    ca_file: Path | None
    searched: tuple[Path, ...] = ()
    """The state directories in which a token was looked for."""

    def __repr__(self) -> str:
        """Leaves the token out."""
        return f"DaemonLocation(url={self.url!r}, ca_file={self.ca_file!r})"

    def client(self) -> Client:
        """A client for it.

        Raises:
            click.UsageError: the address is none, or the certificates cannot be read.
        """
        try:
            return Client(self.url, token=self.token, ca_file=self.ca_file)
        except ValueError as error:
            raise click.UsageError(str(error)) from None


def locate_daemon(
    *,
    url: str | None,
    token: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    state_dir: Path | None,
    environment: Mapping[str, str],
) -> DaemonLocation:
    """What was given, completed by what a daemon on this machine has left in its state directory. Reads files.

    A token that was found beside an address is for that address: to another one that was given it is not sent.

    Raises:
        click.UsageError: a file that was named cannot be read, or two tokens were given.
    """
    if token is not None and token_file is not None:
        raise click.UsageError("--token and --token-file say the same thing; give one of them")
    if token_file is not None:
        token = _read_token(token_file)
        if token is None:
            raise click.UsageError(f"there is no token that can be read in {token_file}")
    searched = (state_dir,) if state_dir is not None else _state_directories(environment)
    found = next(
        (place for place in searched if read_address(place) or _read_token(place / TOKEN_FILE_NAME)), searched[0]
    )
    left = read_address(found)
    is_local = url is None or url.rstrip("/") == (left or DEFAULT_URL).rstrip("/")
    if token is None and is_local:
        token = _read_token(found / TOKEN_FILE_NAME)
    return DaemonLocation(url=url or left or DEFAULT_URL, token=token, ca_file=ca_file, searched=searched)


def _state_directories(environment: Mapping[str, str]) -> tuple[Path, ...]:
    own = default_state_dir(environment)
    return (Path(own), SERVICE_STATE_DIR) if own else (SERVICE_STATE_DIR,)


def _read_token(file: Path) -> str | None:
    try:
        with open(file, encoding="ascii") as stream:
            return stream.read(_MAX_TOKEN_CHARACTERS).strip() or None
    except (OSError, UnicodeDecodeError):
        return None
