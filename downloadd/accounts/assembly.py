"""Assembly of the users from their parts, for the composition root."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.local_users import StateDirectoryUsers
from downloadd.accounts.named_users import find_unknown_users
from downloadd.accounts.service import UserService
from downloadd.accounts.shared_users import SharedUsers
from downloadd.accounts.user_store import UserStore
from downloadd.config import Config, UserConfig
from downloadd.errors import StartupError
from downloadd.events import EventBus
from downloadd.records.store import Store
from downloadd.rights import Rights

log = structlog.get_logger()


async def open_users(
    stack: AsyncExitStack,
    config: Config,
    records: Store,
    rights: Rights,
    apply: Iterable[Callable[[Sequence[UserConfig]], None]],
    bus: EventBus,
) -> tuple[KnownUsers, UserService]:
    """Return the users and their service; `stack` closes them.

    Args:
        stack: closes what is opened.
        config: the configuration, with its users.
        records: the records, which have users if several nodes share them.
        rights: the checks of what a user may do.
        apply: each replaces all users.
        bus: the events.

    Raises:
        StartupError: a file of users cannot be used, or there are no users.
    """

    def apply_all(users: Sequence[UserConfig]) -> None:
        for each in apply:
            each(users)
        # Readers of events connect again, and are authenticated again.
        bus.disconnect()

    known = KnownUsers(config.users, apply_all, reserved=frozenset(watch.user for watch in config.watch))
    state_dir = Path(config.server.state_dir)
    store: UserStore
    if records.users is None:
        store = await stack.enter_async_context(StateDirectoryUsers(state_dir, known))
    else:
        store = await stack.enter_async_context(SharedUsers(records.users, records.hints, state_dir, known))
    if not known.all:
        raise StartupError(
            "there are no users: add [[users]] to the configuration, one of them with the permission manage-users; "
            "no first user is made beside a shared database (cluster.database)",
            exit_status=2,
        )
    return known, UserService(store, known, rights)


def warn_of_unknown_users(config: Config, known: KnownUsers) -> None:
    """Log the ids in the configuration that no user has now; users who are made come and go."""
    for place, id in find_unknown_users(config, frozenset(user.id for user in known.all)):
        log.warning("unknown_user", setting=place, user=id)
