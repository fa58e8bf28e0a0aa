"""Assembly of the users from their parts, for the composition root."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.local_users import StateDirectoryUsers
from downloadd.accounts.service import UserService
from downloadd.accounts.shared_users import SharedUsers
from downloadd.accounts.user_store import UserStore
from downloadd.config import Config, UserConfig
from downloadd.events import EventBus
from downloadd.records.store import Store
from downloadd.rights import Rights


async def open_users(
    stack: AsyncExitStack,
    config: Config,
    records: Store,
    rights: Rights,
    reread: Callable[[], Awaitable[None]] | None,
    apply: Iterable[Callable[[Sequence[UserConfig]], None]],
    bus: EventBus,
) -> tuple[KnownUsers, UserService]:
    """Return the users and their service; `stack` closes them.

    Args:
        stack: closes what is opened.
        config: the configuration, with its users.
        records: the records, which have users if several nodes share them.
        rights: the checks of what a user may do.
        reread: applies the users of the state directory, if they are there; None to leave them as they are.
        apply: each replaces all users.
        bus: the events.
    """

    def apply_all(users: Sequence[UserConfig]) -> None:
        for each in apply:
            each(users)
        # Readers of events connect again, and are authenticated again.
        bus.disconnect()

    known = KnownUsers(config.users, apply_all)
    state_dir = Path(config.server.state_dir)
    store: UserStore = StateDirectoryUsers(state_dir, reread or _ignore)
    if records.users is not None:
        store = await stack.enter_async_context(
            SharedUsers(records.users, records.hints, state_dir, known.replace_made)
        )
    return known, UserService(store, known, rights)


async def _ignore() -> None:
    """Leave the users as they are."""
