"""One action on many downloads: the rights for each, and the results."""

import pytest
from support.clocks import ManualClock
from support.fake_history import FakeHistory
from support.fake_manager import FakeManager
from support.fake_prober import FakeProber
from support.fake_queue import FakeQueue, FakeResults
from support.fake_storage import FakeStorage
from support.sample_downloads import sample_download

from downloadd.bulk_actions import DIRECTORY_REFUSED, BulkAction, BulkActions
from downloadd.config import DirectoryConfig
from downloadd.errors import DownloadForbiddenError
from downloadd.events import EventBus
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import Action, Rights
from downloadd.service import DownloadService
from downloadd.states import State
from downloadd.users import PermissionMissingError, User

ANN = User(id="ann", permissions=frozenset({"download"}))
VIEWER = User(id="bob", permissions=frozenset({"view-downloads"}))
UNKNOWN = "ffffffff-0000-4000-8000-000000000000"


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager(EventBus(), ManualClock())


@pytest.fixture
def rights() -> Rights:
    return Rights(directories=DirectoryRules([DirectoryConfig(path="bobs", users=("bob",))]), is_enabled=True)


@pytest.fixture
def actions(manager: FakeManager, rights: Rights) -> BulkActions:
    service = DownloadService(
        manager=manager,
        queue=FakeQueue(manager),
        results=FakeResults(manager),
        history=FakeHistory(manager),
        prober=FakeProber(),
        storage=FakeStorage(),
        clock=ManualClock(),
        rights=rights,
    )
    return BulkActions(service)


async def test_one_that_is_refused_does_not_stop_the_others(actions: BulkActions, manager: FakeManager) -> None:
    waiting, other, of_bob = (
        manager.add(sample_download(1)),
        manager.add(sample_download(2, state=State.COMPLETED)),
        manager.add(sample_download(3, directory="bobs")),
    )
    ids = [of_bob.id, other.id, UNKNOWN, waiting.id, waiting.id]
    outcomes = await actions.apply(ANN, BulkAction.PAUSE, ids)
    assert [(one.id, one.error) for one in outcomes] == [
        (of_bob.id, DIRECTORY_REFUSED),
        (other.id, "INVALID_STATE"),
        (UNKNOWN, "NOT_FOUND"),
        (waiting.id, None),
    ]
    assert manager.downloads[waiting.id].state is State.PAUSED
    assert manager.downloads[of_bob.id].state is State.QUEUED


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        (BulkAction.PAUSE, State.QUEUED, State.PAUSED),
        (BulkAction.RESUME, State.PAUSED, State.QUEUED),
        (BulkAction.RETRY, State.FAILED, State.QUEUED),
        (BulkAction.CANCEL, State.QUEUED, State.CANCELLED),
        (BulkAction.REMOVE, State.COMPLETED, None),
    ],
)
async def test_each_action_changes_all_of_a_thousand(
    actions: BulkActions, manager: FakeManager, action: BulkAction, before: State, after: State | None
) -> None:
    ids = [manager.add(sample_download(number, state=before)).id for number in range(1000)]
    outcomes = await actions.apply(ANN, action, ids, with_file=True)
    assert [one.id for one in outcomes] == ids
    assert all(one.changed is not None and one.error is None for one in outcomes)
    assert {one.is_file_removed for one in outcomes} == {after is None}
    assert {download.state for download in manager.downloads.values()} == ({after} if after else set())


async def test_a_user_without_the_permission_is_refused_as_a_whole(actions: BulkActions) -> None:
    with pytest.raises(PermissionMissingError):
        await actions.apply(VIEWER, BulkAction.PAUSE, [UNKNOWN])


async def test_a_daemon_that_may_not_fetch_retries_none(actions: BulkActions, rights: Rights) -> None:
    rights.configure(directories=DirectoryRules([]), is_enabled=False)
    with pytest.raises(DownloadForbiddenError):
        await actions.apply(ANN, BulkAction.RETRY, [UNKNOWN])
    assert len(await actions.apply(ANN, BulkAction.PAUSE, [UNKNOWN])) == 1


def test_each_action_is_one_of_a_user() -> None:
    assert {Action(action.value) for action in BulkAction} <= set(Action)
