"""Limits over all nodes, as their users change them: in the records, read by each node as often as heartbeats are sent.

A change holds in place of the configuration of each node until one of them reads its configuration again, until other
hours limit the same value, or until all nodes have stopped.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from math import inf
from types import TracebackType
from typing import Final, Self

import structlog
from msgspec.structs import asdict

from downloadd.clock import Clock
from downloadd.errors import DownloadError, InvalidParameterError
from downloadd.events import EventBus, SettingsChanged
from downloadd.manager.hourly_limits import HourlyLimits
from downloadd.manager.run_limits import RunLimits
from downloadd.manager.tasks import TaskSet
from downloadd.node import NodeState
from downloadd.records.hints import Hints, Topic
from downloadd.records.limits import LimitRecords
from downloadd.records.nodes import NodeRecords
from downloadd.runtime_settings import SHARED_LIMITS, RuntimeSettings, SettingsChange, change_settings

log = structlog.get_logger()

POLL_SECONDS: Final = 0.75
"""Seconds between two reads of the limits, without hints."""


class SharedLimits:
    """The limits that hold for all nodes together. Opens and closes with `async with`, after the hours.

    While the records are unavailable, the limits stay as they are.

    Raises:
        StoreUnavailableError: on entering, the records cannot be used.
    """

    def __init__(
        self,
        records: LimitRecords,
        nodes: NodeRecords,
        hints: Hints,
        *,
        limits: RunLimits,
        hours: HourlyLimits,
        bus: EventBus,
        clock: Clock,
        node: str,
    ) -> None:
        """Apply what the records have to `limits`; `node` is the name of this node."""
        self._records = records
        self._nodes = nodes
        self._hints = hints
        self._limits = limits
        self._hours = hours
        self._bus = bus
        self._clock = clock
        self._node = node
        # As they are applied here.
        self._known: Mapping[str, int] = {}
        # Times before which changes have no effect any more, by name.
        self._withdrawn: dict[str, float] = {}
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks = TaskSet()
        hints.subscribe(Topic.LIMITS, self._handle_hint)

    async def __aenter__(self) -> Self:
        others = [node for node in await self._nodes.list() if node.report.name != self._node]
        if all(node.state is NodeState.GONE for node in others):
            await self._records.withdraw(SHARED_LIMITS, before=inf)
        await self._refresh()
        self._hours.on_configured = self._withdraw
        self._tasks.spawn(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.cancel()

    async def change(self, limits: Mapping[str, int]) -> None:
        """Record changes for all nodes; the caller applies them here without waiting in between.

        Raises:
            StoreUnavailableError: the records cannot be used at the moment; nothing is changed.
        """
        async with self._lock:
            await self._withdraw_pending()
            await self._records.change(limits, now=self._clock.wall())
            self._known = {**self._known, **limits}
        self._hints.send(Topic.LIMITS)

    def _withdraw(self, names: Collection[str]) -> None:
        """Remove the changes of these names soon: the configuration or its hours limit them anew."""
        self._withdrawn |= dict.fromkeys(set(names) & set(SHARED_LIMITS), self._clock.wall())
        self._wake.set()

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._refresh()
            except DownloadError as error:
                # The records log that they are unavailable.
                log.debug("limits_not_read", detail=error.detail)

    async def _refresh(self) -> None:
        async with self._lock:
            await self._withdraw_pending()
            found = {name: value for name, value in (await self._records.load()).items() if name in SHARED_LIMITS}
            if found != self._known:
                before, self._known = self._known, found
                self._apply(before)

    async def _withdraw_pending(self) -> None:
        while self._withdrawn:
            before = next(iter(self._withdrawn.values()))
            names = [name for name, time in self._withdrawn.items() if time == before]
            await self._records.withdraw(names, before=before)
            # The hours may have changed again meanwhile.
            self._withdrawn = {name: time for name, time in self._withdrawn.items() if time != before}
            self._hints.send(Topic.LIMITS)

    def _apply(self, before: Mapping[str, int]) -> None:
        """Apply the limits that differ from those before; what is withdrawn is that of this configuration again."""
        configured, present = asdict(self._hours.configured), self._limits.settings
        changed = {
            name: self._known.get(name, configured[name])
            for name in SHARED_LIMITS
            if self._known.get(name) != before.get(name)
        }
        try:
            settings = change_settings(present, make_change(changed))
        except InvalidParameterError as error:
            # A node of another version may allow other values.
            log.error("shared_limits_refused", detail=error.detail)
            return
        if settings != present:
            self._limits.change(settings)
            log.info("shared_limits_changed", **{name: getattr(settings, name) for name in SHARED_LIMITS})
            self._bus.publish(SettingsChanged(settings=self._hours.settings))

    def _handle_hint(self, ids: Collection[str]) -> None:
        self._wake.set()


def make_change(limits: Mapping[str, int]) -> SettingsChange:
    """Return limits by name as a change of settings."""
    allows = limits.get("allow_starts")
    return SettingsChange(
        max_per_host=limits.get("max_per_host"),
        speed_limit=limits.get("speed_limit"),
        allow_starts=None if allows is None else bool(allows),
    )


def shared_changes(before: RuntimeSettings, after: RuntimeSettings) -> Mapping[str, int]:
    """Return the limits over all nodes that a change concerns."""
    values = {name: (getattr(before, name), getattr(after, name)) for name in SHARED_LIMITS}
    return {name: int(new) for name, (old, new) in values.items() if new != old}
