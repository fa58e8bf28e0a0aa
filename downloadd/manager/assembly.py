"""Assembly of the manager from its parts, for the composition root."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

import msgspec

from downloadd.clock import Clock
from downloadd.cluster.lease import Lease
from downloadd.config import Config, DownloadsConfig, HostConfig, LimitConfig, UserConfig
from downloadd.events import EventBus
from downloadd.manager.abandoned_downloads import AbandonedDownloads
from downloadd.manager.admission_checks import AdmissionChecks
from downloadd.manager.admission_control import AdmissionControl
from downloadd.manager.amender import Amender
from downloadd.manager.desired_states import DesiredStates
from downloadd.manager.ended_follower import EndedFollower
from downloadd.manager.gid_lookup import GidLookup
from downloadd.manager.hourly_limits import HourlyLimits
from downloadd.manager.kept_parts import KeptParts
from downloadd.manager.lease_gate import LeaseGate
from downloadd.manager.limits import Limits
from downloadd.manager.live_runs import LiveRuns
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.manager import Manager
from downloadd.manager.notifier import Notifier
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.other_nodes import OtherNodes
from downloadd.manager.progress_reports import ProgressReports
from downloadd.manager.queue_control import QueueControl
from downloadd.manager.remote_changes import RemoteChanges
from downloadd.manager.run_factory import RunFactory
from downloadd.manager.run_limits import RunLimits
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner
from downloadd.manager.shared_dispatcher import SharedDispatcher
from downloadd.manager.shared_limits import SharedLimits
from downloadd.manager.small_publications import SmallPublications
from downloadd.manager.space_queue import SpaceQueue
from downloadd.manager.speed_share import SpeedLimit, SpeedShare
from downloadd.manager.stall_monitor import StallMonitor
from downloadd.manager.storage_gate import StorageGate
from downloadd.manager.stored_meter import StoredMeter
from downloadd.manager.user_quotas import UserQuotas
from downloadd.metrics import DownloadMetrics
from downloadd.origin.settings import OriginSettings
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.origin_proxies import OriginProxies
from downloadd.policy.policy import Policy
from downloadd.records.hints import Topic
from downloadd.records.store import Store
from downloadd.storage.destination import Destination
from downloadd.storage.finished_files import FileReader
from downloadd.transfer.present_files import PresentFiles
from downloadd.transfer.session import Session
from downloadd.transfer.speed_floor import SpeedPolicy
from downloadd.user_quota import UserQuota


class ManagerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that the manager starts with; a reload replaces those before `node`."""

    config: DownloadsConfig
    policy: Policy
    directories: DirectoryRules
    hosts: tuple[HostConfig, ...] = ()
    proxies: OriginProxies | None = None
    limits: tuple[LimitConfig, ...] = ()
    quotas: Mapping[str, UserQuota] = {}
    """Quotas of users, by their ids."""
    node: str = ""
    """Name of this node."""
    keep_parts: float
    """Seconds for which a failed download keeps its part file."""
    reuse: bool = False
    """Copy files of earlier downloads whose versions origins confirm."""
    takeover_interval: float = 1.0
    """Seconds between two searches for downloads that no living node runs."""
    speed_policy: SpeedPolicy | None = None
    """Measurement of the speed of downloads with a least speed; None for the default."""
    max_runs: int | None = None
    """Downloads that the open files of the process are enough for; None for no limit."""

    @classmethod
    def from_config(
        cls, config: Config, origins: OriginSettings, directories: DirectoryRules, *, node: str, max_runs: int | None
    ) -> Self:
        """Return the settings of a configuration; `node` is the name of this one."""
        return cls(
            config=config.downloads,
            policy=origins.policy,
            directories=directories,
            hosts=config.hosts,
            proxies=origins.proxies,
            limits=config.limits,
            quotas={user.id: user.quota for user in config.users},
            node=node,
            keep_parts=config.storage.keep_parts,
            reuse=config.storage.reuse,
            takeover_interval=Lease(config.cluster.lease).interval,
            max_runs=max_runs,
        )


class ManagerParts(msgspec.Struct, frozen=True, kw_only=True):
    """The manager, which is not open yet, and the parts that others use beside it; `open_limits` before it."""

    manager: Manager
    queue: QueueControl
    gids: GidLookup
    limits: RunLimits
    hours: HourlyLimits
    shared_limits: SharedLimits | None
    quotas: UserQuotas
    kept_parts: KeptParts
    lease: LeaseGate
    dispatcher: LocalDispatcher | SharedDispatcher
    admission: AdmissionControl
    runs: RunTable
    runner: Runner
    follower: EndedFollower
    abandoned: AbandonedDownloads

    async def open_limits(self, stack: AsyncExitStack) -> None:
        """Apply the limits of hours, of all nodes and of users; `stack` closes them."""
        await stack.enter_async_context(self.hours)
        if self.shared_limits is not None:
            await stack.enter_async_context(self.shared_limits)
        await stack.enter_async_context(self.quotas)

    def replace_users(self, users: Sequence[UserConfig]) -> None:
        """Replace the quotas of all users."""
        self.quotas.configure({user.id: user.quota for user in users})


def assemble_manager(
    settings: ManagerSettings,
    *,
    records: Store,
    destination: Destination,
    files: FileReader,
    session: Session,
    bus: EventBus,
    metrics: DownloadMetrics,
    clock: Clock,
) -> ManagerParts:
    """Construct the manager over open records, storage and client."""
    config = settings.config
    lease = LeaseGate(records)
    dispatcher = _make_dispatcher(Limits.from_config(config, settings.hosts), clock, records, lease)
    quotas = UserQuotas(
        dispatcher.queue,
        settings.quotas,
        records=records.user_days,
        stored=StoredMeter(records.user_files, files, clock, is_shared=records.is_shared),
        clock=clock,
        is_shared=records.is_shared,
    )
    speed_limit = SpeedLimit(config.speed_limit)
    origins = OriginMonitor(dispatcher.origins, records.origins)
    if isinstance(dispatcher, SharedDispatcher):
        dispatcher.queue.on_origins = origins.adopt
    notifier = Notifier(bus, metrics, records.hints)
    gate = StorageGate(destination, dispatcher.queue, clock)
    kept_parts = KeptParts(
        records=records,
        kept=records.kept_parts,
        destination=destination,
        clock=clock,
        keep_seconds=settings.keep_parts,
    )
    space = SpaceQueue(destination, dispatcher.queue, records, clock, reclaim=kept_parts.reclaim)
    live_runs = LiveRuns(records.nodes, clock, node=settings.node)
    runs = RunTable(dispatcher.queue, space, live_runs, records.runs)
    checks = AdmissionChecks(destination, records.gids, check_quota=quotas.check_request)
    admission = AdmissionControl(
        records=records,
        checks=checks,
        queue=dispatcher.queue,
        notifier=notifier,
        runs=runs,
        clock=clock,
        policy=settings.policy,
        proxies=settings.proxies,
        directories=settings.directories,
        config=config,
    )
    factory = RunFactory(
        records=records,
        session=session,
        destination=destination,
        clock=clock,
        slots=dispatcher.slots,
        origins=origins,
        runs=runs,
        config=config,
        keeps_parts=settings.keep_parts > 0,
        small_files=SmallPublications(records, destination, clock),
        present_files=PresentFiles(files, records.known_files, may_reuse=settings.reuse),
        speed_limit=speed_limit,
        speed_policy=settings.speed_policy,
        pop_takeover=records.runs.pop_takeover,
        quota_of=quotas.of_run,
    )
    follower = EndedFollower(records, runs, notifier)
    records.hints.subscribe(Topic.ENDS, lambda ids: follower.wake())
    others = OtherNodes(records, clock, node=settings.node)
    runner = Runner(
        records=records,
        destination=destination,
        dispatcher=dispatcher,
        notifier=notifier,
        gate=gate,
        space=space,
        runs=runs,
        factory=factory,
        others=others,
        clock=clock,
    )
    lease.allow_runs = runner.allow_runs
    desired_states = DesiredStates(records, runs)
    abandoned = AbandonedDownloads(
        records=records,
        destination=destination,
        lease=lease,
        runs=runs,
        runner=runner,
        desired_states=desired_states,
        notifier=notifier,
        clock=clock,
        interval=settings.takeover_interval,
    )
    manager = Manager(
        records=records,
        destination=destination,
        dispatcher=dispatcher,
        notifier=notifier,
        follower=follower,
        gate=gate,
        space=space,
        admission=admission,
        amender=Amender(
            records=records,
            destination=destination,
            admission=admission,
            checks=checks,
            runner=runner,
            runs=runs,
            others=others,
        ),
        runs=runs,
        live_runs=live_runs,
        runner=runner,
        stalls=StallMonitor(runs, records, clock, config, settings.hosts, abort=runner.abort),
        origins=origins,
        kept_parts=kept_parts,
        background=(
            ProgressReports(runs, runner, notifier).watch,
            RemoteChanges(records, runs, notifier, clock).watch,
            abandoned.watch,
            desired_states.watch,
            others.watch,
            SpeedShare(
                speed_limit, records.nodes, runs, node=live_runs.node, interval=settings.takeover_interval
            ).watch,
        ),
        clock=clock,
    )
    limits = RunLimits(dispatcher.queue, speed_limit)
    hours = HourlyLimits(
        limits, entries=settings.limits, config=config, bus=bus, clock=clock, max_runs=settings.max_runs
    )
    shared_limits = None
    if records.limits is not None:
        shared_limits = SharedLimits(
            records.limits,
            records.nodes,
            records.hints,
            limits=limits,
            hours=hours,
            bus=bus,
            clock=clock,
            node=settings.node,
        )
    return ManagerParts(
        manager=manager,
        queue=QueueControl(
            queue=records.queue, waiting=dispatcher.queue, space=space, runner=runner, runs=runs, notifier=notifier
        ),
        gids=GidLookup(records.gids, runs),
        limits=limits,
        hours=hours,
        shared_limits=shared_limits,
        quotas=quotas,
        kept_parts=kept_parts,
        lease=lease,
        dispatcher=dispatcher,
        admission=admission,
        runs=runs,
        runner=runner,
        follower=follower,
        abandoned=abandoned,
    )


def _make_dispatcher(
    limits: Limits, clock: Clock, records: Store, lease: LeaseGate
) -> LocalDispatcher | SharedDispatcher:
    """Return the dispatcher of a process alone, or that of several nodes if the records serve them."""
    if records.admission is None:
        return LocalDispatcher(limits, clock, lease)
    dispatcher = SharedDispatcher(limits, clock, records.admission, read_counts=records.counts, lease=lease)
    records.hints.subscribe(Topic.QUEUE, dispatcher.queue.wake)
    return dispatcher
