"""The command `users`: users in the state directory of a daemon on this machine."""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec.structs import replace
from rich.table import Table

from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.parameters import one_of
from downloadd.cli.terminal import Terminal
from downloadd.config import UserConfig
from downloadd.daemon.first_user import TOKEN_FILE_NAME, ensure_first_user, read_first_user
from downloadd.daemon.user_file import read_users, write_users
from downloadd.errors import StartupError
from downloadd.users import Permission

DEFAULT_PERMISSIONS: Final = (Permission.DOWNLOAD.value, Permission.VIEW_DOWNLOADS.value)
CONFIGURED_HINT: Final = "Users in [[users]] of the configuration are changed there."
_json = click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")


class ShownUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user, without the token."""

    id: str
    permissions: tuple[str, ...]
    is_first: bool = False


class UserListing(msgspec.Struct, frozen=True, kw_only=True):
    """The users of the state directory."""

    users: list[ShownUser]


class NewUser(ShownUser, frozen=True, kw_only=True):
    """A user with a token, which is shown once."""

    token: str


class RevokedUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user who was removed."""

    id: str
    success: bool = True


class LocalUsers:
    """The users of a state directory: those of `users.toml`, and the first one. Blocks."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def list(self) -> list[ShownUser]:
        """Return all of them."""
        first = self._first()
        shown = [] if first is None else [_show(first, is_first=True)]
        return shown + [_show(user) for user in read_users(self._state_dir)]

    def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user, and return it with its token.

        Raises:
            CommandError: the id is taken.
        """
        if any(user.id == id for user in self.list()):
            raise _refuse(f"There is a user {id} already; take another id, or rotate its token.")
        token = secrets.token_urlsafe(32)
        made = msgspec.convert(
            {"id": id, "token_hash": _hash(token), "permissions": tuple(permissions)}, type=UserConfig
        )
        write_users(self._state_dir, (*read_users(self._state_dir), made))
        return NewUser(id=id, permissions=made.permissions, token=token)

    def rotate(self, id: str) -> NewUser:
        """Give a user another token; the first user gets another id with it.

        Raises:
            CommandError: there is no such user.
        """
        if self._is_first(id):
            (self._state_dir / TOKEN_FILE_NAME).unlink()
            first = ensure_first_user(self._state_dir)
            return NewUser(id=first.user.id, permissions=first.user.permissions, is_first=True, token=first.token)
        users = self._users_with(id)
        token = secrets.token_urlsafe(32)
        changed = [replace(user, token_hash=_hash(token)) if user.id == id else user for user in users]
        write_users(self._state_dir, changed)
        permissions = next(user.permissions for user in users if user.id == id)
        return NewUser(id=id, permissions=permissions, token=token)

    def revoke(self, id: str) -> None:
        """Remove a user.

        Raises:
            CommandError: there is no such user.
        """
        if self._is_first(id):
            (self._state_dir / TOKEN_FILE_NAME).unlink()
            return
        write_users(self._state_dir, [user for user in self._users_with(id) if user.id != id])

    def _first(self) -> UserConfig | None:
        return read_first_user(self._state_dir).user if (self._state_dir / TOKEN_FILE_NAME).exists() else None

    def _is_first(self, id: str) -> bool:
        first = self._first()
        return first is not None and first.id == id

    def _users_with(self, id: str) -> tuple[UserConfig, ...]:
        users = read_users(self._state_dir)
        if all(user.id != id for user in users):
            raise _refuse(f"There is no user {id} in {self._state_dir}.", CONFIGURED_HINT)
        return users


def _refuse(*lines: str) -> CommandError:
    return CommandError(ExitStatus.FAILED, *lines, report=ErrorReport(error="INVALID_STATE", detail=lines[0]))


def _show(user: UserConfig, *, is_first: bool = False) -> ShownUser:
    return ShownUser(id=user.id, permissions=user.permissions, is_first=is_first)


def _hash(token: str) -> str:
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


class _UserGroup(click.Group):
    """Group whose commands report files that cannot be used as errors of the command."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (StartupError, OSError) as error:
            hint = "Run it as the user of the daemon, such as with: sudo -u downloadd downloadctl users …"
            raise CommandError(
                ExitStatus.FAILED, f"{error}.", hint, report=ErrorReport(error="STORAGE_ERROR", detail=str(error))
            ) from None


@click.group(cls=_UserGroup)
def users() -> None:
    """Create and revoke users of a daemon on this machine.

    They are in users.toml in its state directory, with the hashes of their tokens. The daemon applies a change within a
    second; one that does not run applies it at its next start. Users in [[users]] of the configuration are not shown.

    \b
    Examples:
      downloadctl users create alice
      sudo -u downloadd downloadctl users list
    """


@users.command("list")
@_json
@click.pass_obj
def list_users(terminal: Terminal, *, as_json: bool) -> None:
    """List the users of the state directory.

    \b
    Example:
      downloadctl users list
    """
    terminal.as_json = as_json
    found = _open(terminal).list()
    table = Table.grid(padding=(0, 2))
    for user in found:
        table.add_row(user.id, ", ".join(user.permissions), "the first user" if user.is_first else "")
    terminal.write_result(UserListing(users=found), table if found else f"There are none here. {CONFIGURED_HINT}")


@users.command()
@click.argument("id")
@click.option(
    "-p",
    "--permission",
    "permissions",
    multiple=True,
    type=one_of(Permission),
    default=DEFAULT_PERMISSIONS,
    show_default=True,
    help="A permission; repeatable.",
)
@_json
@click.pass_obj
def create(terminal: Terminal, *, id: str, permissions: tuple[str, ...], as_json: bool) -> None:
    """Create a user, and print its token once.

    \b
    Examples:
      downloadctl users create alice
      downloadctl users create reader --permission view-downloads --permission read-files
    """
    terminal.as_json = as_json
    if not (id.isascii() and id.isprintable() and 0 < len(id) <= 128 and " " not in id):
        raise click.UsageError("an id has 1 to 128 letters, digits and signs of ASCII, without spaces")
    _write_new(terminal, _open(terminal).create(id, permissions))


@users.command()
@click.argument("id")
@_json
@click.pass_obj
def rotate(terminal: Terminal, *, id: str, as_json: bool) -> None:
    """Give a user a new token, and print it once; the former one is refused then.

    \b
    Example:
      downloadctl users rotate alice
    """
    terminal.as_json = as_json
    _write_new(terminal, _open(terminal).rotate(id))


@users.command()
@click.argument("id")
@_json
@click.pass_obj
def revoke(terminal: Terminal, *, id: str, as_json: bool) -> None:
    """Remove a user; its token is refused then, and its downloads stay.

    A daemon without any other user creates a first user again at its next start.

    \b
    Example:
      downloadctl users revoke alice
    """
    terminal.as_json = as_json
    _open(terminal).revoke(id)
    terminal.write_result(RevokedUser(id=id), f"Removed: {id}")


def _open(terminal: Terminal) -> LocalUsers:
    return LocalUsers(terminal.daemon_location.state_dir)


def _write_new(terminal: Terminal, user: NewUser) -> None:
    lines = (f"user   {user.id}", f"token  {user.token}", "", "The token is not shown again.")
    terminal.write_result(user, "\n".join(lines))
