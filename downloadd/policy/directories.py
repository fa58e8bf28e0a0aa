"""Directory rules: the settings that apply in each directory.

Of several `[[directories]]` that apply, each key is that of the longest path that gives it, so that a table with only a
quota does not change the users. All quotas apply, since each counts everything below its path.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from msgspec import UNSET
from msgspec.structs import replace

from downloadd.config import DirectoryConfig
from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.errors import InvalidPathError
from downloadd.name_collision import path_collision_key


def is_below(directory: str, pattern: str) -> bool:
    """Return True if a directory matches a pattern or lies below a directory that does.

    `*`, `?` and `[...]` match characters of one segment; the empty pattern is the root.
    """
    if not pattern:
        return True
    expected, actual = pattern.split("/"), directory.split("/")
    return len(actual) >= len(expected) and all(map(fnmatchcase, actual, expected))


class DirectoryRules:
    """Settings of every directory below the root."""

    __slots__ = ("_by_collision_key", "_cached_settings", "_configured")

    def __init__(self, configured: Iterable[DirectoryConfig] = ()) -> None:
        """Take tables from the loader: paths are canonical, owners are numbers."""
        self._configured = {config.path: config for config in configured}
        self._by_collision_key = {path_collision_key(path): path for path in self._configured if path}
        self._cached_settings = lru_cache(maxsize=1024)(self._resolve_settings)

    def settings_of(self, directory: str) -> DirectorySettings:
        """Return the settings of a directory; redundant slashes in `directory` are ignored."""
        return self._cached_settings(directory) if self._configured else DirectorySettings()

    @property
    def quotas(self) -> Sequence[Quota]:
        """All configured quotas."""
        configured = self._configured.values()
        return [Quota(directory=each.path, limit=each.quota) for each in configured if each.quota is not UNSET]

    def allows_user(self, user: str, directory: str) -> bool:
        """Return True if a user with the permission to download may start and change downloads there."""
        users = self.settings_of(directory).users
        return users is None or user in users

    def check_distinct(self, directory: str) -> None:
        """Raise an error for a path that collides with a configured directory under another spelling.

        On a file system that ignores case, for example, it is that directory, but its settings would not apply.

        Raises:
            InvalidPathError: the directory or one above it collides with a configured one.
        """
        for path in _path_prefixes(directory):
            configured = self._by_collision_key.get(path_collision_key(path)) if path else None
            if configured is not None and path not in self._configured:
                raise InvalidPathError(
                    f"the directory {path!r} is too similar to {configured!r}, which has settings of its own: choose "
                    "another name, or write it as it is configured"
                )

    def _resolve_settings(self, directory: str) -> DirectorySettings:
        directory_settings = DirectorySettings()
        for path in _path_prefixes(directory):
            config = self._configured.get(path)
            if config is not None:
                directory_settings = _apply_config(directory_settings, config)
        return directory_settings


def _path_prefixes(directory: str) -> Iterator[str]:
    """Yield the root, every directory above this one, and itself."""
    path = ""
    for segment in ("", *filter(None, directory.split("/"))):
        path = f"{path}/{segment}" if path else segment
        yield path


def _apply_config(directory_settings: DirectorySettings, config: DirectoryConfig) -> DirectorySettings:
    if config.quota is not UNSET:
        directory_settings = replace(
            directory_settings, quotas=(*directory_settings.quotas, Quota(directory=config.path, limit=config.quota))
        )
    if config.users is not UNSET:
        directory_settings = replace(directory_settings, users=frozenset(config.users))
    if config.conflict is not UNSET:
        directory_settings = replace(directory_settings, conflict=config.conflict)
    if config.skip_same is not UNSET:
        directory_settings = replace(directory_settings, skip_same=config.skip_same)
    if config.owner is not UNSET:
        user, _, group = config.owner.partition(":")
        directory_settings = replace(directory_settings, owner=(int(user), int(group)))
    if config.mode is not UNSET:
        directory_settings = replace(directory_settings, mode=int(config.mode, 8))
    return directory_settings
