"""The service: rights of each call, and repeated requests."""

from collections.abc import Awaitable, Callable, Sequence

import pytest
from support.clocks import ManualClock
from support.fake_history import FakeHistory
from support.fake_manager import FakeManager
from support.fake_prober import FOUND, FakeProber
from support.fake_queue import FakeQueue, FakeResults
from support.fake_storage import FakeStorage
from support.sample_downloads import sample_download

from downloadd.config import DirectoryConfig, RuleConfig
from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.download_rules import DownloadRules
from downloadd.errors import DownloadForbiddenError, IdempotencyKeyReusedError, NotFoundError
from downloadd.events import EventBus
from downloadd.manager.protocol import DownloadChange
from downloadd.policy.directories import DirectoryRules
from downloadd.queue_move import TO_TOP, UP
from downloadd.rights import Rights
from downloadd.service import DownloadService, IdempotencyKey, RenderedResponse
from downloadd.states import State
from downloadd.users import PermissionMissingError, User

DIRECTORIES = DirectoryRules([DirectoryConfig(path="bobs", users=("bob",))])
ANN = User(id="ann", permissions=frozenset({"download"}))
BOB = User(id="bob", permissions=frozenset({"download"}))
VIEWER = User(id="bob", permissions=frozenset({"view-downloads"}))
IMPORTER = User(id="bob", permissions=frozenset({"run-import", "view-import-operations"}))
REQUEST = DownloadRequest(url="https://a.example/1", directory="d")
UNKNOWN = "ffffffff-0000-4000-8000-000000000000"

Call = Callable[[DownloadService, User, str], Awaitable[object]]

CHANGES: dict[str, Call] = {
    "cancel": lambda service, user, id: service.cancel(user, id),
    "pause": lambda service, user, id: service.pause(user, id),
    "resume": lambda service, user, id: service.resume(user, id),
    "retry": lambda service, user, id: service.retry(user, id),
    "amend": lambda service, user, id: service.amend(user, id, DownloadChange(priority=1)),
    "move": lambda service, user, id: service.move(user, id, TO_TOP),
    "clear_result": lambda service, user, id: service.clear_result(user, id),
    "remove": lambda service, user, id: service.remove(user, id, with_file=True),
}


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager(EventBus(), ManualClock())


@pytest.fixture
def rights() -> Rights:
    return Rights(directories=DIRECTORIES, is_enabled=True)


@pytest.fixture
def prober() -> FakeProber:
    return FakeProber()


@pytest.fixture
def rules() -> list[RuleConfig]:
    return []


@pytest.fixture
def service(manager: FakeManager, prober: FakeProber, rights: Rights, rules: list[RuleConfig]) -> DownloadService:
    return DownloadService(
        manager=manager,
        queue=FakeQueue(manager),
        results=FakeResults(manager),
        history=FakeHistory(manager),
        prober=prober,
        storage=FakeStorage(),
        clock=ManualClock(),
        rights=rights,
        rules=lambda: DownloadRules(rules),
    )


def forbid(rights: Rights) -> None:
    rights.configure(directories=DIRECTORIES, is_enabled=False)


def render(downloads: Sequence[Download]) -> RenderedResponse:
    return RenderedResponse(status=201, body=",".join(download.id for download in downloads).encode())


async def test_a_start_passes_the_request_on_for_the_user(service: DownloadService, manager: FakeManager) -> None:
    started = await service.start(ANN, [REQUEST])
    assert [download.user for download in started.downloads] == ["ann"]
    assert manager.requests == [REQUEST]


@pytest.mark.parametrize("user", [VIEWER, IMPORTER], ids=["viewer", "importer"])
async def test_a_start_without_permission_starts_nothing(
    service: DownloadService, manager: FakeManager, user: User
) -> None:
    with pytest.raises(PermissionMissingError):
        await service.start(user, [REQUEST])
    assert manager.requests == []


async def test_a_start_is_refused_whole_when_one_directory_is_not_for_the_user(
    service: DownloadService, manager: FakeManager
) -> None:
    requests = [REQUEST, DownloadRequest(url="https://a.example/1", directory="bobs/below")]
    with pytest.raises(PermissionMissingError):
        await service.start(ANN, requests)
    assert manager.requests == []
    assert len((await service.start(BOB, requests)).downloads) == 2


async def test_a_start_is_refused_if_a_rule_may_lead_to_a_directory_that_is_not_for_the_user(
    service: DownloadService, manager: FakeManager, rules: list[RuleConfig]
) -> None:
    rules.append(RuleConfig(name="r", types=("video/*",), save_to="bobs"))
    with pytest.raises(PermissionMissingError):
        await service.start(ANN, [REQUEST])
    assert manager.requests == []
    assert len((await service.start(BOB, [REQUEST])).downloads) == 1


async def test_a_start_is_refused_where_nothing_may_be_fetched(
    service: DownloadService, rights: Rights, manager: FakeManager
) -> None:
    forbid(rights)
    with pytest.raises(DownloadForbiddenError):
        await service.start(ANN, [REQUEST])
    assert manager.requests == []


@pytest.mark.parametrize("call", CHANGES.values(), ids=CHANGES)
async def test_a_change_needs_permission_and_directory(
    service: DownloadService, manager: FakeManager, call: Call
) -> None:
    id = manager.add(sample_download(directory="bobs")).id
    for user in (VIEWER, IMPORTER, ANN):
        with pytest.raises(PermissionMissingError):
            await call(service, user, id)
    assert manager.downloads[id].state is State.QUEUED
    with pytest.raises(NotFoundError):
        await call(service, BOB, UNKNOWN)


async def test_the_user_of_a_directory_changes_its_downloads(service: DownloadService, manager: FakeManager) -> None:
    id = manager.add(sample_download(directory="bobs")).id
    assert (await service.amend(BOB, id, DownloadChange(priority=3))).download.id == id
    assert (await service.pause(BOB, id)).download.state is State.PAUSED
    assert (await service.resume(BOB, id)).download.state is State.QUEUED
    assert (await service.cancel(BOB, id)).state is State.CANCELLED
    assert (await service.retry(BOB, id)).download.state is State.QUEUED


async def test_a_download_is_moved_and_a_result_is_cleared(service: DownloadService, manager: FakeManager) -> None:
    rows = [manager.add(sample_download(number, directory="bobs")) for number in range(3)]
    assert await service.move(BOB, rows[2].id, UP) == 1
    await service.cancel(BOB, rows[0].id)
    await service.clear_result(BOB, rows[0].id)
    assert manager.downloads[rows[0].id].result.cleared


async def test_all_downloads_but_those_in_directories_of_others_are_paused_and_resumed(
    service: DownloadService, manager: FakeManager, rights: Rights
) -> None:
    ids = [manager.add(sample_download(number, directory=name)).id for number, name in enumerate(("d", "bobs", "e"))]

    def states() -> list[State]:
        return [manager.downloads[id].state for id in ids]

    assert await service.pause_all(ANN) == 2
    assert states() == [State.PAUSED, State.QUEUED, State.PAUSED]
    assert await service.pause_all(BOB) == 1
    assert await service.resume_all(ANN) == 2
    assert states() == [State.QUEUED, State.PAUSED, State.QUEUED]
    forbid(rights)
    assert await service.pause_all(ANN) == 2
    with pytest.raises(DownloadForbiddenError):
        await service.resume_all(ANN)


@pytest.mark.parametrize("user", [VIEWER, IMPORTER], ids=["viewer", "importer"])
async def test_changes_of_all_downloads_need_the_permission(service: DownloadService, user: User) -> None:
    for call in (service.pause_all, service.resume_all, service.clear_results):
        with pytest.raises(PermissionMissingError):
            await call(user)


async def test_the_results_of_all_users_are_cleared(service: DownloadService, manager: FakeManager) -> None:
    row = manager.add(sample_download(directory="bobs", state=State.FAILED))
    await service.clear_results(ANN)
    assert manager.downloads[row.id].result.cleared


async def test_a_change_of_the_directory_needs_the_right_for_both(
    service: DownloadService, manager: FakeManager
) -> None:
    of_bob, of_all = (manager.add(sample_download(n, directory=name)).id for n, name in enumerate(("bobs", "d")))
    for id, directory in ((of_bob, "d"), (of_all, "bobs"), (of_all, "/bobs//below/")):
        with pytest.raises(PermissionMissingError):
            await service.amend(ANN, id, DownloadChange(directory=directory))
        await service.amend(BOB, id, DownloadChange(directory=directory))
    assert len(manager.applied_changes) == 3


async def test_without_the_launch_flag_downloads_are_stopped_and_not_started(
    service: DownloadService, rights: Rights, manager: FakeManager
) -> None:
    forbid(rights)
    id = manager.add(sample_download()).id
    await service.amend(ANN, id, DownloadChange(priority=3))
    for change in (DownloadChange(url="https://a.example/2"), DownloadChange(mirrors=["https://a.example/2"])):
        with pytest.raises(DownloadForbiddenError):
            await service.amend(ANN, id, change)
    await service.pause(ANN, id)
    with pytest.raises(DownloadForbiddenError):
        await service.resume(ANN, id)
    await service.cancel(ANN, id)
    with pytest.raises(DownloadForbiddenError):
        await service.retry(ANN, id)


async def test_the_launch_flag_does_not_hide_a_missing_permission_to_change_a_url(
    service: DownloadService, rights: Rights, manager: FakeManager
) -> None:
    forbid(rights)
    id = manager.add(sample_download()).id
    with pytest.raises(PermissionMissingError):
        await service.amend(VIEWER, id, DownloadChange(url="https://a.example/2"))


async def test_a_probe_needs_the_permission_to_download_and_the_launch_flag(
    service: DownloadService, rights: Rights, prober: FakeProber
) -> None:
    for user in (VIEWER, IMPORTER):
        with pytest.raises(PermissionMissingError):
            await service.probe(user, REQUEST)
    forbid(rights)
    with pytest.raises(DownloadForbiddenError):
        await service.probe(ANN, REQUEST)
    assert prober.requests == []


async def test_a_probe_passes_the_request_on_and_starts_nothing(
    service: DownloadService, prober: FakeProber, manager: FakeManager
) -> None:
    assert await service.probe(ANN, REQUEST) == FOUND
    assert (prober.requests, manager.downloads) == ([REQUEST], {})


# -- repeated requests -------------------------------------------------------------------------------------------------


async def test_a_repeated_request_gets_the_rendered_response_to_the_first_one(service: DownloadService) -> None:
    key = IdempotencyKey(key="k", fingerprint=b"1")
    first = await service.start(ANN, [REQUEST], idempotency_key=key, render=render)
    again = await service.start(ANN, [REQUEST], idempotency_key=key, render=render)
    assert again.downloads == ()
    assert again.replayed is not None
    assert (again.replayed.status, again.replayed.body) == (201, first.downloads[0].id.encode())
    assert again.replayed.created == ManualClock().wall()


async def test_idempotency_keys_of_different_users_are_independent(service: DownloadService) -> None:
    for user in (ANN, BOB):
        key = IdempotencyKey(key="k", fingerprint=user.id.encode())
        assert (await service.start(user, [REQUEST], idempotency_key=key, render=render)).replayed is None


async def test_a_key_of_another_request_is_refused(service: DownloadService) -> None:
    await service.start(ANN, [REQUEST], idempotency_key=IdempotencyKey(key="k", fingerprint=b"1"), render=render)
    with pytest.raises(IdempotencyKeyReusedError):
        await service.start(ANN, [REQUEST], idempotency_key=IdempotencyKey(key="k", fingerprint=b"2"), render=render)


@pytest.mark.parametrize(("capacity", "replayed"), [(0, False), (1, True)])
async def test_a_refusal_for_a_full_queue_is_not_stored_unless_others_were_accepted(
    service: DownloadService, manager: FakeManager, capacity: int, replayed: bool
) -> None:
    manager.queue_capacity = capacity
    key = IdempotencyKey(key="k", fingerprint=b"1")
    await service.start(ANN, [REQUEST, REQUEST], idempotency_key=key, render=render)
    manager.queue_capacity = 2
    again = await service.start(ANN, [REQUEST, REQUEST], idempotency_key=key, render=render)
    assert (again.replayed is not None) is replayed


async def test_another_refusal_is_stored(service: DownloadService) -> None:
    key = IdempotencyKey(key="k", fingerprint=b"1")
    wrong = DownloadRequest(url="nonsense", directory="d")
    await service.start(ANN, [wrong], idempotency_key=key, render=render)
    assert (await service.start(ANN, [wrong], idempotency_key=key, render=render)).replayed is not None
