"""The service of the settings: rights, limits of the process, events and log lines."""

import pytest
from structlog.testing import capture_logs
from support.clocks import ManualClock
from support.dispatchers import make_dispatcher

from downloadd.config import DownloadsConfig
from downloadd.errors import InvalidParameterError
from downloadd.events import EventBus, SettingsChanged
from downloadd.manager.hourly_limits import HourlyLimits
from downloadd.manager.limits import Limits
from downloadd.manager.run_limits import RunLimits
from downloadd.manager.speed_share import SpeedLimit
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import Rights
from downloadd.runtime_settings import CurrentSettings, SettingsChange
from downloadd.settings_service import SettingsService
from downloadd.users import PermissionMissingError, User

ANN = User(id="ann", permissions=frozenset({"download"}))
VIEWER = User(id="bob", permissions=frozenset({"view-downloads"}))
IMPORTER = User(id="cid", permissions=frozenset({"run-import", "view-import-operations"}))
CONFIGURED = CurrentSettings(max_concurrent=64, max_per_host=16, speed_limit=0)


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


def make_service(bus: EventBus, *, max_runs: int | None = None) -> SettingsService:
    clock = ManualClock()
    limits = RunLimits(make_dispatcher(Limits(max_concurrent=64, max_per_host=16), clock).queue, SpeedLimit(0))
    hours = HourlyLimits(limits, entries=(), config=DownloadsConfig(), bus=bus, clock=clock, max_runs=max_runs)
    # The daemon need not be allowed to fetch.
    rights = Rights(directories=DirectoryRules(), is_enabled=False)
    return SettingsService(limits, hours=hours, rights=rights, bus=bus)


@pytest.fixture
def service(bus: EventBus) -> SettingsService:
    return make_service(bus)


def test_settings_are_read_with_the_permission_to_view_downloads(service: SettingsService) -> None:
    assert service.get(VIEWER) == service.get(ANN) == CONFIGURED
    with pytest.raises(PermissionMissingError):
        service.get(IMPORTER)


@pytest.mark.parametrize("user", [VIEWER, IMPORTER])
async def test_settings_are_changed_with_the_permission_to_download(service: SettingsService, user: User) -> None:
    with pytest.raises(PermissionMissingError):
        await service.change(user, SettingsChange(max_concurrent=1))
    assert service.get(ANN) == CONFIGURED


async def test_a_change_is_applied_logged_and_published(service: SettingsService, bus: EventBus) -> None:
    expected = CurrentSettings(max_concurrent=4, max_per_host=16, speed_limit=1000)
    with capture_logs() as lines, bus.subscribe() as subscription:
        assert await service.change(ANN, SettingsChange(max_concurrent=4, speed_limit=1000)) == expected
        events = [published.event for published in await subscription.receive()]
        # Nothing changes.
        await service.change(ANN, SettingsChange(max_concurrent=4))
    assert service.get(ANN) == expected
    assert events == [SettingsChanged(settings=expected)]
    [line] = lines
    assert (line["event"], line["user"], line["max_concurrent"]) == ("settings_changed", "ann", 4)


async def test_a_change_with_one_invalid_value_changes_nothing(service: SettingsService) -> None:
    with pytest.raises(InvalidParameterError, match="speed_limit"):
        await service.change(ANN, SettingsChange(max_concurrent=4, speed_limit=-1))
    assert service.get(ANN) == CONFIGURED


async def test_more_downloads_than_the_open_files_are_enough_for_are_refused(bus: EventBus) -> None:
    service = make_service(bus, max_runs=100)
    await service.change(ANN, SettingsChange(max_concurrent=100))
    with pytest.raises(InvalidParameterError, match=r"max_concurrent: must be at most 100, .*LimitNOFILE"):
        await service.change(ANN, SettingsChange(max_concurrent=101))
