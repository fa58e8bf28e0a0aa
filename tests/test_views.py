"""The views: rights of each reading call."""

from collections.abc import Awaitable, Callable

import pytest
from support.clocks import ManualClock
from support.fake_files import FakeFiles
from support.fake_history import FakeHistory
from support.fake_manager import FakeManager
from support.fake_queue import FakeQueue, FakeResults
from support.node_reports import no_nodes
from support.sample_downloads import sample_download

from downloadd.config import DirectoryConfig
from downloadd.events import EventBus
from downloadd.gid import make_gid
from downloadd.manager.protocol import ResultCount
from downloadd.policy.directories import DirectoryRules
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.rights import Rights
from downloadd.states import State
from downloadd.users import PermissionMissingError, User
from downloadd.views import DownloadViews

DIRECTORIES = DirectoryRules([DirectoryConfig(path="bobs", users=("bob",))])
ANN = User(id="ann", permissions=frozenset({"download"}))
BOB = User(id="bob", permissions=frozenset({"download"}))
VIEWER = User(id="bob", permissions=frozenset({"view-downloads"}))
IMPORTER = User(id="bob", permissions=frozenset({"run-import", "view-import-operations"}))

Call = Callable[[DownloadViews, User, str], Awaitable[object]]


async def _now(read: Callable[[], object]) -> object:
    return read()


READS: dict[str, Call] = {
    "get": lambda views, user, id: views.get(user, id),
    "wait": lambda views, user, id: views.wait(user, id, 0),
    "active": lambda views, user, id: views.active(user, ActiveFilter()),
    "history": lambda views, user, id: views.history(user, HistoryFilter()),
    "ended_since": lambda views, user, id: views.ended_since(user, 0, 10),
    "last_removal": lambda views, user, id: views.last_removal(user),
    "directories": lambda views, user, id: views.directories(user, "", 10),
    "origins": lambda views, user, id: views.origins(user, 10),
    "queue": lambda views, user, id: views.queue(user, 0, 10),
    "counts": lambda views, user, id: views.counts(user),
    "queue_revision": lambda views, user, id: views.queue_revision(user),
    "results_revision": lambda views, user, id: views.results_revision(user),
    "speed": lambda views, user, id: _now(lambda: views.speed(user)),
    "results": lambda views, user, id: views.results(user, 0, 10),
    "result_count": lambda views, user, id: views.result_count(user),
    "find_gid": lambda views, user, id: views.find_gid(user, make_gid(1)),
}


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager(EventBus(), ManualClock())


@pytest.fixture
def views(manager: FakeManager) -> DownloadViews:
    async def find(prefix: str, limit: int) -> list[str]:
        return [name for name in ("bobs", "d") if name.startswith(prefix)][:limit]

    # A daemon that may not fetch can be read.
    rights = Rights(directories=DIRECTORIES, is_enabled=False)
    queue = FakeQueue(manager)
    return DownloadViews(
        manager=manager,
        queue=queue,
        results=FakeResults(manager),
        find_gid=queue.find_gid,
        history=FakeHistory(manager),
        find_directories=find,
        find_nodes=no_nodes,
        files=FakeFiles(),
        rights=rights,
    )


@pytest.mark.parametrize("call", READS.values(), ids=READS)
async def test_reading_needs_the_permission_to_view_and_no_directory(
    views: DownloadViews, manager: FakeManager, call: Call
) -> None:
    id = manager.add(sample_download(directory="bobs")).id
    await call(views, VIEWER, id)
    await call(views, ANN, id)
    with pytest.raises(PermissionMissingError):
        await call(views, IMPORTER, id)


async def test_directories_of_others_are_not_listed(views: DownloadViews) -> None:
    assert await views.directories(ANN, "", 10) == ["d"]
    assert await views.directories(BOB, "", 10) == ["bobs", "d"]


async def test_the_waiting_list_and_the_results_are_those_of_all_users(
    views: DownloadViews, manager: FakeManager
) -> None:
    states = (State.QUEUED, State.DOWNLOADING, State.PAUSED, State.FAILED, State.COMPLETED)
    rows = [manager.add(sample_download(number, state=state)) for number, state in enumerate(states)]
    assert [one.download.id for one in await views.queue(ANN, 0, 9)] == [rows[0].id, rows[2].id]
    assert [one.download.id for one in await views.queue(ANN, -1, 1)] == [rows[2].id]
    assert await views.counts(ANN) == {State.QUEUED: 1, State.DOWNLOADING: 1, State.PAUSED: 1}
    assert [row.id for row in await views.results(ANN, 0, 9)] == [rows[3].id, rows[4].id]
    assert await views.result_count(ANN) == ResultCount(shown=2, total=2)
    assert (await views.find_gid(ANN, rows[1].gid)).download.id == rows[1].id
