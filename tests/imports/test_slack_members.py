"""Files that programs put into exports of Slack."""

import pytest

from downloadd.import_operation import SkippedEntry
from downloadd.imports.slack_members import SlackMembers

NAMES = (
    "top/users.json",
    "top/general/2020-01-01.json",
    "top/__uploads/F1/a.gif",
    "top/general/attachments/F2-b.gif",
    "top/__avatars/U1/c.png",
    "top/general/F3-no.gif",
)


def test_files_and_avatars_are_found_by_their_ids() -> None:
    members = SlackMembers(NAMES)
    assert [members.take(id) for id in ("F1", "F2", "F3", "")] == [NAMES[2], NAMES[3], "", ""]
    assert (members.find_avatar("U1"), members.find_avatar("F1")) == (NAMES[4], "")
    assert [name for name in NAMES if name in members] == list(NAMES[2:5])


@pytest.mark.parametrize("taken", [(), ("F1",), ("F1", "F2")])
def test_files_that_nothing_references_are_reported(taken: tuple[str, ...]) -> None:
    members = SlackMembers(NAMES)
    for id in taken:
        members.take(id)
    left = [item.entry for item in members.unreferenced() if isinstance(item, SkippedEntry)]
    assert left == sorted(NAMES[2 + len(taken) : 5])
