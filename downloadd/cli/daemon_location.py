"""Address and token of the daemon: from options, from variables, or from its state directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from downloadd.accounts.first_user import TOKEN_FILE_NAME
from downloadd.client import Client
from downloadd.config import default_state_dir
from downloadd.daemon.address_file import read_address

DEFAULT_URL: Final = "http://127.0.0.1:8080"
SERVICE_STATE_DIR: Final = Path("/var/lib/downloadd")
"""The state directory of the systemd service."""
_MAX_TOKEN_CHARACTERS: Final = 1024


class DaemonLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Address and credentials of the daemon."""

    url: str
    token: str | None
    ca_file: Path | None
    searched: tuple[Path, ...] = ()
    """State directories that were searched for a token."""
    state_dir: Path = SERVICE_STATE_DIR
    """State directory that was chosen."""
    stored_token: Path | None = None
    """File in the state directory with the token; None if it is another one, or missing."""
    has_given_url: bool = False
    """True if the address was given, so that the daemon may run on another machine."""

    def __repr__(self) -> str:
        """Return a description without the token."""
        return f"DaemonLocation(url={self.url!r}, ca_file={self.ca_file!r})"

    def client(self) -> Client:
        """Return a client of this daemon.

        Raises:
            click.UsageError: The address is invalid, or the certificates cannot be read.
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
    """Return the given values, completed from the state directory of a daemon on this machine. Reads files.

    A token of a state directory is sent only to the address in that directory, not to another given one.

    Raises:
        click.UsageError: A named file cannot be read, or two tokens were given.
    """
    if token is not None and token_file is not None:
        raise click.UsageError("--token and --token-file exclude each other; give one of them")
    if token_file is not None:
        token = _read_token(token_file)
        if token is None:
            raise click.UsageError(f"cannot read a token from {token_file}")
    searched = (state_dir,) if state_dir is not None else _state_directories(environment)
    directory = next((one for one in searched if read_address(one) or _read_token(one / TOKEN_FILE_NAME)), searched[0])
    stored_url = read_address(directory)
    is_local = url is None or url.rstrip("/") == (stored_url or DEFAULT_URL).rstrip("/")
    stored = None
    if token is None and is_local:
        token = _read_token(directory / TOKEN_FILE_NAME)
        stored = None if token is None else directory / TOKEN_FILE_NAME
    return DaemonLocation(
        url=url or stored_url or DEFAULT_URL,
        token=token,
        ca_file=ca_file,
        searched=searched,
        state_dir=directory,
        stored_token=stored,
        has_given_url=url is not None,
    )


def _state_directories(environment: Mapping[str, str]) -> tuple[Path, ...]:
    own = default_state_dir(environment)
    return (Path(own), SERVICE_STATE_DIR) if own else (SERVICE_STATE_DIR,)


def _read_token(file: Path) -> str | None:
    try:
        with open(file, encoding="ascii") as stream:
            return stream.read(_MAX_TOKEN_CHARACTERS).strip() or None
    except (OSError, UnicodeDecodeError):
        return None
