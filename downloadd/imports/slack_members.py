"""Files that programs put into exports of Slack.

slackdump writes `<channel>/attachments/<id>-<name>`; slack-advanced-exporter, mmetl and slackdump for Mattermost write
`__uploads/<id>/<name>`. Avatars of slackdump are `__avatars/<user id>/<name>`.
Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from downloadd.import_operation import ImportItem, SkippedEntry, SkipReason
from downloadd.imports.skipping import shorten

_UPLOADS: Final = "__uploads"
_AVATARS: Final = "__avatars"
_ATTACHMENTS: Final = "attachments"


class SlackMembers:
    """Files of an archive by their ids."""

    def __init__(self, names: Iterable[str]) -> None:
        """Find the files among the names of an archive."""
        self._files: dict[str, str] = {}
        self._avatars: dict[str, str] = {}
        self._names: set[str] = set()
        self._unreferenced: set[str] = set()
        for name in names:
            found = _parse_member(name)
            if found is None:
                continue
            id, is_avatar = found
            self._names.add(name)
            self._unreferenced.add(name)
            (self._avatars if is_avatar else self._files).setdefault(id, name)

    def __contains__(self, name: str) -> bool:
        """Return True if the entry of this name is a file of a message or an avatar."""
        return name in self._names

    def take(self, file_id: str) -> str:
        """Return the entry that is the file with this id, and mark it as referenced; "" if there is none."""
        name = self._files.get(file_id, "")
        self._unreferenced.discard(name)
        return name

    def find_avatar(self, user_id: str) -> str:
        """Return the entry that is the avatar of a user, and mark it as referenced; "" if there is none."""
        name = self._avatars.get(user_id, "")
        self._unreferenced.discard(name)
        return name

    def unreferenced(self) -> Iterator[ImportItem]:
        """Yield the files that nothing has referenced."""
        for name in sorted(self._unreferenced):
            yield SkippedEntry(
                reason=SkipReason.UNREFERENCED,
                detail="no message names this file of the archive",
                entry=shorten(name),
            )


def _parse_member(path: str) -> tuple[str, bool] | None:
    """Return the id of a file or user, and True for an avatar; None if the path is of neither."""
    match path.split("/"):
        case [*_, folder, id, _] if folder == _UPLOADS:
            return id, False
        case [*_, folder, id, _] if folder == _AVATARS:
            return id, True
        case [*_, folder, name] if folder == _ATTACHMENTS and "-" in name:
            return name.partition("-")[0], False
        case _:
            return None
