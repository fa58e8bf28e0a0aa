"""Stores of users with the users that hold, for their contract."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.user_store import UserStore

OpenUsers = Callable[[], AbstractAsyncContextManager[tuple[UserStore, KnownUsers]]]
"""Opens a store; later ones have the users of the earlier ones."""
