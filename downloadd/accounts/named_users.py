"""Users that the configuration names in other tables than `[[users]]`.

Pure: no I/O and no clock.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from msgspec import UNSET

from downloadd.config import Config


def find_unknown_users(config: Config, known: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Yield the setting and the id of each named user whose id is not `known`."""
    for setting, id in _named_users(config):
        if id not in known:
            yield setting, id


def _named_users(config: Config) -> Iterator[tuple[str, str]]:
    for directory in config.directories:
        for id in () if directory.users is UNSET else directory.users:
            yield f"users of [[directories]] {directory.path}", id
    for rule in config.rules:
        for id in rule.users:
            yield f"users of [[rules]] {rule.name}", id
    for schedule in config.schedules:
        if schedule.user:
            yield f"user of [[schedules]] {schedule.name}", schedule.user
