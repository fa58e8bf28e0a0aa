"""The command `users`: users of a daemon, by its API or in the state directory of one on this machine."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

import click
import msgspec
from rich.table import Table

from downloadd.accounts.local_users import LocalUsers
from downloadd.accounts.user_store import NewUser, UserDescription, UserKind, check_user_id
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus, to_command_error
from downloadd.cli.parameters import one_of
from downloadd.cli.terminal import Terminal
from downloadd.client import ClientError, UserCalls, UserEntry, UserTokenResponse
from downloadd.cluster.instance import INSTANCE_FILE_NAME
from downloadd.errors import DownloadError, InvalidParameterError, StartupError
from downloadd.users import DEFAULT_PERMISSIONS, Permission

T = TypeVar("T")

CONFIGURED_HINT: Final = "Users in [[users]] of the configuration are changed there."
SHARED_HINT: Final = (
    "Give the token of a user with manage-users with DOWNLOADD_TOKEN or --token-file while the daemon runs; the first "
    "one is in [[users]] of the configuration. If the daemon has no shared database any more, remove the file instance."
)
_KINDS: Final[Mapping[UserKind, str]] = {
    UserKind.CONFIGURED: "[[users]] of the configuration",
    UserKind.MADE: "",
    UserKind.FIRST: "the first user",
}
_json = click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")


class UserListing(msgspec.Struct, frozen=True, kw_only=True):
    """The users that a command shows."""

    users: list[UserDescription]


class RevokedUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user who was removed."""

    id: str
    success: bool = True


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
    """Create and revoke users of a daemon.

    With --url, the daemon there does it for a user with the permission manage-users. Without, the users of the daemon
    on this machine are changed in users.toml of its state directory, with the hashes of their tokens; it applies a
    change within a second, or at its next start, and users in [[users]] of the configuration are not shown.

    Several nodes of one database have the users in it: the daemon changes them there, for a user with the permission
    manage-users.

    \b
    Examples:
      downloadctl users create alice
      sudo -u downloadd downloadctl users list
      DOWNLOADD_TOKEN=… downloadctl --url https://dl.example.com users revoke alice
    """


@users.command("list")
@_json
@click.pass_obj
def list_users(terminal: Terminal, *, as_json: bool) -> None:
    """List the users, without their tokens.

    \b
    Example:
      downloadctl users list
    """
    found = _run(terminal, _list_remote, LocalUsers.list, as_json=as_json)
    table = Table.grid(padding=(0, 2))
    for user in found:
        table.add_row(user.id, ", ".join(user.permissions), _KINDS[user.kind])
    terminal.write_result(UserListing(users=list(found)), table if found else f"There are none here. {CONFIGURED_HINT}")


@users.command()
@click.argument("id")
@click.option(
    "-p",
    "--permission",
    "permissions",
    multiple=True,
    type=one_of(Permission),
    default=[str(each) for each in DEFAULT_PERMISSIONS],
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
    try:
        check_user_id(id)
    except InvalidParameterError as error:
        raise click.UsageError(error.detail) from None
    given = [Permission(each) for each in permissions]
    new = _run(
        terminal,
        lambda users: _new_user(users.create(id, given)),
        lambda users: users.create(id, permissions),
        as_json=as_json,
    )
    _write_new(terminal, new)


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
    new = _run(terminal, lambda users: _new_user(users.rotate(id)), lambda users: users.rotate(id), as_json=as_json)
    _write_new(terminal, new)


@users.command()
@click.argument("id")
@_json
@click.pass_obj
def revoke(terminal: Terminal, *, id: str, as_json: bool) -> None:
    """Remove a user; its token is refused then, and its downloads stay.

    A daemon without any other user creates a first user again at its next start. Over --url, a user cannot revoke
    itself.

    \b
    Example:
      downloadctl users revoke alice
    """
    _run(terminal, lambda users: _revoke(users, id), lambda users: users.revoke(id), as_json=as_json)
    terminal.write_result(RevokedUser(id=id), f"Removed: {id}")


def _run(
    terminal: Terminal, remote: Callable[[UserCalls], Awaitable[T]], local: Callable[[LocalUsers], T], *, as_json: bool
) -> T:
    """Return the result of the daemon, or else of the users in the state directory.

    A node of several has its users in shared records, which only a running daemon reaches.
    """
    terminal.as_json = as_json
    location = terminal.daemon_location
    is_node = (location.state_dir / INSTANCE_FILE_NAME).exists()
    if location.has_given_url or (is_node and location.token is not None):
        try:
            return asyncio.run(_call(terminal, remote))
        except ClientError as error:
            raise to_command_error(error, location) from None
    if is_node:
        detail = f"{location.state_dir} is that of a node with a shared database, which has the users"
        raise CommandError(
            ExitStatus.FAILED, f"{detail}.", SHARED_HINT, report=ErrorReport(error="INVALID_STATE", detail=detail)
        )
    try:
        return local(LocalUsers(location.state_dir))
    except DownloadError as error:
        report = ErrorReport(error=error.code, detail=error.detail)
        raise CommandError(ExitStatus.FAILED, f"{error.detail}.", CONFIGURED_HINT, report=report) from None


async def _call(terminal: Terminal, remote: Callable[[UserCalls], Awaitable[T]]) -> T:
    async with terminal.daemon_location.client() as client:
        return await remote(client.users)


async def _revoke(users: UserCalls, id: str) -> None:
    await users.revoke(id)


async def _list_remote(users: UserCalls) -> Sequence[UserDescription]:
    return [describe_entry(entry) for entry in await users.list()]


def describe_entry(entry: UserEntry) -> UserDescription:
    """Return a user of an answer as those of the state directory are described."""
    return UserDescription(id=entry.id, permissions=tuple(entry.permissions), kind=entry.kind)


async def _new_user(response: Awaitable[UserTokenResponse]) -> NewUser:
    user = await response
    return NewUser(id=user.id, permissions=tuple(user.permissions), kind=user.kind, token=user.token)


def _write_new(terminal: Terminal, user: NewUser) -> None:
    lines = (f"user   {user.id}", f"token  {user.token}", "", "The token is not shown again.")
    terminal.write_result(user, "\n".join(lines))
