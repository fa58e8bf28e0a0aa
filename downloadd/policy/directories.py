"""The directory rules: which terms hold where.

Of several `[[directories]]` around a place, each key is that of the longest path that gives it, so that a table that
sets a quota alone lets nobody in; quotas hold all together, since each counts everything below its path.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from msgspec import UNSET
from msgspec.structs import replace

from downloadd.config import DirectoryConfig
from downloadd.errors import InvalidPathError
from downloadd.folding import fold_path
from downloadd.terms import Quota, Terms


class DirectoryRules:
    """The terms of every directory below the root."""

    __slots__ = ("_configured", "_folded", "_remembered")

    def __init__(self, configured: Iterable[DirectoryConfig] = ()) -> None:
        """Takes tables as the loader leaves them: paths are clean, owners are numbers."""
        self._configured = {config.path: config for config in configured}
        self._folded = {fold_path(path): path for path in self._configured if path}
        self._remembered = lru_cache(maxsize=1024)(self._find)

    def terms_of(self, directory: str) -> Terms:
        """What holds in a directory, given as users write it: slashes at the ends and doubled ones are forgiven."""
        return self._remembered(directory) if self._configured else Terms()

    @property
    def quotas(self) -> Sequence[Quota]:
        """Every quota that is configured."""
        configured = self._configured.values()
        return [Quota(directory=each.path, limit=each.quota) for each in configured if each.quota is not UNSET]

    def may_use(self, user: str, directory: str) -> bool:
        """Whether a user who may download at all may start and change downloads there."""
        users = self.terms_of(directory).users
        return users is None or user in users

    def require_distinct(self, directory: str) -> None:
        """Refuses a spelling of a directory with terms that would not be recognised as that directory.

        On a file system that ignores case, say, it leads there all the same.

        Raises:
            InvalidPathError: it, or a directory on the way, is too like a configured one.
        """
        for path in _on_the_way(directory):
            meant = self._folded.get(fold_path(path)) if path else None
            if meant is not None and path not in self._configured:
                raise InvalidPathError(
                    f"the directory {path!r} is too like {meant!r}, which has terms of its own: choose another name, "
                    "or write it as it is configured"
                )

    def _find(self, directory: str) -> Terms:
        terms = Terms()
        for path in _on_the_way(directory):
            config = self._configured.get(path)
            if config is not None:
                terms = _narrowed(terms, config)
        return terms


def _on_the_way(directory: str) -> Iterator[str]:
    """The root, every directory around this one, and itself."""
    path = ""
    for segment in ("", *filter(None, directory.split("/"))):
        path = f"{path}/{segment}" if path else segment
        yield path


def _narrowed(terms: Terms, config: DirectoryConfig) -> Terms:
    if config.quota is not UNSET:
        terms = replace(terms, quotas=(*terms.quotas, Quota(directory=config.path, limit=config.quota)))
    if config.users is not UNSET:
        terms = replace(terms, users=frozenset(config.users))
    if config.conflict is not UNSET:
        terms = replace(terms, conflict=config.conflict)
    if config.owner is not UNSET:
        user, _, group = config.owner.partition(":")
        terms = replace(terms, owner=(int(user), int(group)))
    if config.mode is not UNSET:
        terms = replace(terms, mode=int(config.mode, 8))
    return terms
