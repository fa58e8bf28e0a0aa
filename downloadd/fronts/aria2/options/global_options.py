"""Global options that users have changed: in memory, so that a restart returns to the configuration.

They are those of the user who changed them, because they may hold secrets, such as a header field with a password.
"""

from collections.abc import Mapping
from typing import Final

from downloadd.fronts.aria2.options.option_table import INHERITED
from downloadd.fronts.aria2.options.options import Options

_NOTHING: Final[Options] = {}


class GlobalOptions:
    """Changed global options by the id of the user."""

    def __init__(self) -> None:
        self._changed: dict[str, Options] = {}

    def of(self, user: str) -> Options:
        """Return the options that a user has changed."""
        return self._changed.get(user, _NOTHING)

    def change(self, user: str, options: Mapping[str, str]) -> None:
        """Change the options of a user that downloads inherit; others are ignored."""
        inherited = {name: text for name, text in options.items() if name in INHERITED}
        self._changed[user] = {**self.of(user), **inherited}
