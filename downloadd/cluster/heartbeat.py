"""Heartbeat of this node: it registers, renews its lease while it runs, and leaves when it ends."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.cluster.identity import NodeIdentity
from downloadd.cluster.lease import Lease
from downloadd.errors import DownloadError, ShuttingDownError, StartupError, StoreUnavailableError
from downloadd.node import LiveRun, Node, NodeReport, configured_hooks
from downloadd.records.nodes import NodeRecords

log = structlog.get_logger()

LEAVE_SECONDS: Final = 1.0
"""Seconds to remove the node from the records at its end; if that fails, it is gone after its lease."""
_NO_ANSWER: Final = "the records did not answer, or the process was stopped"


class NodeLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Work of a node at the moment."""

    running: int = 0
    """Number of running downloads."""
    speed: int = 0
    """Bytes a second of them together."""
    settings: Mapping[str, str] = {}
    """Settings that all nodes should have in common, by name."""
    hooks: Sequence[str] = ()
    """Names of the configured hooks."""
    runs: Sequence[LiveRun] = ()
    """The running downloads, for the views of other nodes."""


class Heartbeat:
    """This node, registered while this is open. Opens and closes with `async with`.

    In records that only this node can use, its lease is always held, and there are no heartbeats.

    Attributes:
        read_load: returns the present load; set it once there is one.
        on_store_recovered: called with the seconds since the first failure when a heartbeat succeeds again.
        on_lease_change: called with False when the lease was lost, and with True when it is held again.

    Raises:
        StartupError: on entering, a living node has the name.
        StoreUnavailableError: on entering, the records cannot be used.
    """

    def __init__(self, records: NodeRecords, identity: NodeIdentity, clock: Clock) -> None:
        self._records = records
        self._identity = identity
        self._clock = clock
        self._session = str(uuid4())
        self._lease = Lease(identity.lease)
        # As it was logged last.
        self._is_held = True
        self._failure = _NO_ANSWER
        # Time of the first heartbeat that failed since one succeeded.
        self._failing_since: float | None = None
        self._is_draining = False
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.read_load: Callable[[], NodeLoad] = NodeLoad
        self.on_store_recovered: Callable[[float], None] = lambda seconds: None
        self.on_lease_change: Callable[[bool], None] = lambda is_held: None

    async def __aenter__(self) -> Self:
        sent_at = self._clock.monotonic()
        holder = await self._records.register(self._report(), is_start=True)
        if holder is not None:
            raise StartupError(f"{_describe_holder(holder)}; stop it, or choose another name with cluster.node")
        self._lease.renew(sent_at)
        if self._records.needs_heartbeats:
            loop = asyncio.get_running_loop()
            self._tasks = [
                loop.create_task(self._send_heartbeats(), name="heartbeat"),
                loop.create_task(self._watch_lease(), name="lease"),
            ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._records.leave(self._report())
        except (DownloadError, TimeoutError) as failure:
            log.warning("node_not_removed", node=self._identity.name, reason=str(failure))

    @property
    def name(self) -> str:
        """Return the name of this node."""
        return self._identity.name

    @property
    def is_lease_held(self) -> bool:
        """Return True if no other node may take over what this one runs."""
        return not self._records.needs_heartbeats or self._lease.is_held(self._clock.monotonic())

    @property
    def problem(self) -> DownloadError | None:
        """Return the error to answer those with who ask if this node works; None if it does."""
        if self._is_draining:
            return ShuttingDownError()
        if self.is_lease_held:
            return None if self._failing_since is None else StoreUnavailableError(self._failure)
        silence = self._lease.silence(self._clock.monotonic())
        return StoreUnavailableError(
            f"the node {self._identity.name} lost its lease, without a heartbeat for {silence:.0f} s: {self._failure}"
        )

    def drain(self) -> None:
        """Report from now on that this node stops."""
        self._is_draining = True
        self._wake.set()

    async def nodes(self) -> Sequence[Node]:
        """Return all nodes by name, this one with its present load.

        Raises:
            StoreUnavailableError: the records cannot be used at the moment.
        """
        return [
            replace(node, report=self._report()) if node.report.session == self._session else node
            for node in await self._records.list()
        ]

    async def hooks(self) -> frozenset[str]:
        """Return the names of the hooks of all living nodes; see `nodes`."""
        return configured_hooks(await self.nodes())

    async def _send_heartbeats(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease.interval):
                    await self._wake.wait()
            self._wake.clear()
            # A process that was stopped may have lost the lease meanwhile.
            self._observe()
            try:
                await self._beat()
            except DownloadError as error:
                self._fail(error.detail)
            except Exception as error:
                log.exception("heartbeat_failed")
                self._fail(str(error))
            self._observe()

    async def _beat(self) -> None:
        sent_at, report = self._clock.monotonic(), self._report()
        if not await self._records.beat(report, self.read_load().runs):
            holder = await self._records.register(report, is_start=False)
            if holder is not None:
                self._fail(_describe_holder(holder))
                return
        # The answer may come too late.
        self._observe()
        self._lease.renew(sent_at)
        if self._failing_since is not None:
            self.on_store_recovered(self._clock.monotonic() - self._failing_since)
        self._failure, self._failing_since = _NO_ANSWER, None

    def _fail(self, reason: str) -> None:
        self._failure = reason
        if self._failing_since is None:
            self._failing_since = self._clock.monotonic()

    async def _watch_lease(self) -> None:
        """Notice the loss of the lease also while a heartbeat has no answer."""
        while True:
            await asyncio.sleep(self._lease.remaining(self._clock.monotonic()) or self._lease.interval)
            self._observe()

    def _observe(self) -> None:
        """Log and report if the lease was lost or regained."""
        is_held = self.is_lease_held
        if is_held == self._is_held:
            return
        self._is_held = is_held
        if is_held:
            log.warning("lease_regained", node=self._identity.name)
        else:
            silence = round(self._lease.silence(self._clock.monotonic()), 1)
            log.error("lease_lost", node=self._identity.name, seconds=silence, reason=self._failure)
        self.on_lease_change(is_held)

    def _report(self) -> NodeReport:
        identity, load = self._identity, self.read_load()
        return NodeReport(
            name=identity.name,
            session=self._session,
            instance=identity.instance,
            url=identity.url,
            version=identity.version,
            boot=identity.boot,
            lease=identity.lease,
            is_draining=self._is_draining,
            running=load.running,
            speed=load.speed,
            settings=load.settings,
            hooks=tuple(load.hooks),
        )


def _describe_holder(holder: Node) -> str:
    report = holder.report
    return f"the living node at {report.url} has the name {report.name}"
