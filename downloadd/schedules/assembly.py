"""Constructs the schedules over open components."""

from collections.abc import Callable

from downloadd.clock import Clock
from downloadd.download_rules import DownloadRules
from downloadd.manager.history_removal import HistoryRemoval
from downloadd.manager.manager import Manager
from downloadd.records.store import Store
from downloadd.rights import Rights
from downloadd.schedules.runner import ScheduleRunner
from downloadd.schedules.service import ScheduleService
from downloadd.storage.destination import Destination
from downloadd.users import User


def assemble_schedules(
    records: Store,
    manager: Manager,
    removal: HistoryRemoval,
    destination: Destination,
    rights: Rights,
    rules: Callable[[], DownloadRules],
    find_user: Callable[[str], User | None],
    clock: Clock,
) -> ScheduleService:
    """Construct the service over its runner; `find_user` returns the user with an id."""
    runner = ScheduleRunner(
        records=records.schedules,
        lookup=records,
        downloads=manager,
        removal=removal,
        destination=destination,
        rights=rights,
        rules=rules,
        find_user=find_user,
        clock=clock,
    )
    return ScheduleService(records=records.schedules, lookup=records, runner=runner, rights=rights, clock=clock)
