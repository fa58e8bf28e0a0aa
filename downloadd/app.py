"""The composition root: builds every part from the configuration, opens and closes them in order."""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from msgspec.structs import replace

from downloadd.clock import Clock, SystemClock
from downloadd.config import Config
from downloadd.errors import InvalidUrlError
from downloadd.events import EventBus
from downloadd.fronts.page.assets import load_assets
from downloadd.fronts.rest.auth import Accounts
from downloadd.fronts.rest.request_guards import AllowedHosts, LoginThrottle, RequestGuards
from downloadd.fronts.rest.routes import create_api
from downloadd.fronts.rest.server import ApiRunner
from downloadd.gauges import GaugeCollector
from downloadd.hooks.hooks import Hooks
from downloadd.hooks.program import ProgramRunner
from downloadd.hooks.rules import HookRules
from downloadd.hooks.webhook import WebhookSender
from downloadd.import_operation import PENDING_KINDS
from downloadd.imports.importers import IMPORTERS
from downloadd.imports.rights import ImportRights
from downloadd.imports.service import ImportService
from downloadd.imports.uploads import UploadStore
from downloadd.manager.dispatcher import LocalDispatcher
from downloadd.manager.manager import Manager, scheduler_limits
from downloadd.metrics import Metrics
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.policy.proxies import TrustedProxies
from downloadd.policy.url import is_address, parse_host
from downloadd.records.database import UPLOADS_DIRECTORY_NAME
from downloadd.records.sqlite import SqliteRecords
from downloadd.storage.local import LocalDestination
from downloadd.transfer.session import Session

SHUTDOWN_TIMEOUT_SECONDS: Final = 1.5
"""Seconds that answers under way get when the daemon stops."""
LISTEN_BACKLOG: Final = 1024
"""Connections that the kernel may hold for us."""


class App:
    """The daemon's parts, wired. Opens with `async with`; then `listen`."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        max_clients: int | None = None,
    ) -> None:
        """Takes what the parts are made from.

        Args:
            config: has its state directory resolved and at least one user.
            clock: the time; by default the machine's.
            environment: what hooks inherit.
            max_clients: connections of clients at once; None for no limit.
        """
        self._max_clients = max_clients
        self._config = config
        self._clock = clock or SystemClock()
        self._environment = environment or {}
        self._stack = AsyncExitStack()
        self.metrics = Metrics()

    async def __aenter__(self) -> Self:
        """Opens every part; after this, downloads run, but nobody is heard yet.

        Raises:
            StartupError: a part cannot be opened; the sentence says which and why.
        """
        config, clock = self._config, self._clock
        async with AsyncExitStack() as stack:
            metrics = self.metrics
            for kind in (*IMPORTERS, *PENDING_KINDS):
                metrics.imports.register_kind(kind)
            self._bus = bus = EventBus(on_reader_lost=metrics.process.reader_lost)
            self._hook_rules = HookRules(config.hooks)
            records = await stack.enter_async_context(
                SqliteRecords(
                    Path(config.server.state_dir),
                    clock,
                    on_commit=self._on_commit,
                    make_deliveries=lambda download: self._hook_rules.deliveries(download, clock.wall()),
                )
            )
            self._hooks = await stack.enter_async_context(
                Hooks(
                    config.hooks,
                    records=records.deliveries,
                    webhook_sender=await stack.enter_async_context(WebhookSender(clock)),
                    program_runner=ProgramRunner(self._environment, config.storage.root),
                    metrics=metrics.hooks,
                    clock=clock,
                )
            )
            self._directories = DirectoryRules(config.directories)
            destination = await stack.enter_async_context(
                LocalDestination(
                    Path(config.storage.root),
                    min_free=config.storage.min_free,
                    fsync=config.storage.fsync,
                    directory_settings=lambda directory: self._directories.settings_of(directory),
                )
            )
            policy = Policy.from_config(config.downloads)
            self._session = await stack.enter_async_context(
                Session(
                    policy=policy,
                    credentials=config.credentials,
                    stall_timeout=config.downloads.stall_timeout,
                )
            )
            self._manager = await stack.enter_async_context(
                Manager(
                    records=records,
                    destination=destination,
                    session=self._session,
                    dispatcher=LocalDispatcher(scheduler_limits(config.downloads), clock),
                    bus=bus,
                    metrics=metrics.downloads,
                    clock=clock,
                    policy=policy,
                    directories=self._directories,
                    config=config.downloads,
                )
            )
            imports = await stack.enter_async_context(
                ImportService(
                    records=records.imports,
                    downloads=self._manager,
                    destination=destination,
                    uploads=UploadStore(
                        Path(config.server.state_dir) / UPLOADS_DIRECTORY_NAME,
                        max_upload=config.imports.max_upload_size,
                        min_free=config.storage.min_free,
                        clock=clock,
                    ),
                    bus=bus,
                    clock=clock,
                    config=config.imports,
                    rights=ImportRights(
                        directory=config.imports.directory,
                        is_enabled=lambda: self._config.downloads.enabled,
                        can_use_directory=lambda user, directory: self._directories.allows_user(user, directory),
                    ),
                    on_state_change=metrics.imports.state_changed,
                )
            )
            gauges = GaugeCollector(
                manager=self._manager,
                imports=imports,
                hooks=self._hooks,
                bus=bus,
                destination=destination,
                quotas=lambda: self._directories.quotas,
            )
            stack.push_async_callback(gauges.close)
            self._accounts = Accounts(config.users)
            api = create_api(
                manager=self._manager,
                imports=imports,
                bus=bus,
                metrics=metrics,
                collect_gauges=gauges.collect,
                accounts=self._accounts,
                guards=RequestGuards(
                    hosts=AllowedHosts(_machine_names(config.server.host), config.server.allowed_hosts),
                    throttle=LoginThrottle(config.server.max_failed_logins),
                ),
                clock=clock,
                is_enabled=lambda: self._config.downloads.enabled,
                can_use_directory=lambda user, directory: self._directories.allows_user(user, directory),
                directories=destination.directories,
                page=await asyncio.to_thread(load_assets),
                proxies=TrustedProxies(config.server.trusted_proxies),
                base_path=config.server.base_path,
            )
            self._runner = ApiRunner(api, max_connections=self._max_clients, shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS)
            await self._runner.setup()
            stack.push_async_callback(self._runner.cleanup)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops accepting, hands running downloads back, and closes every part; within 10 s."""
        await self._stack.aclose()

    async def listen(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Answers requests on these sockets, which are bound already; over TLS where others could listen in."""
        for sock in sockets:
            context = None if sock.family == socket.AF_UNIX else tls
            await web.SockSite(self._runner, sock, backlog=LISTEN_BACKLOG, ssl_context=context).start()

    def reload(self, config: Config) -> None:
        """Takes over users, credentials, policy, directories, limits and hooks; what runs already goes on as it began.

        Everything else of the configuration needs a restart.
        """
        self._config = replace(
            self._config, downloads=config.downloads, credentials=config.credentials, users=config.users
        )
        self._directories = DirectoryRules(config.directories)
        policy = Policy.from_config(config.downloads)
        self._accounts.replace(config.users)
        # Whoever reads the events comes back, and is judged anew.
        self._bus.disconnect()
        self._session.configure(
            policy=policy, credentials=config.credentials, stall_timeout=config.downloads.stall_timeout
        )
        self._manager.configure(policy=policy, directories=self._directories, config=config.downloads)
        self._hook_rules = HookRules(config.hooks)
        self._hooks.configure(config.hooks)

    def _on_commit(self, rows: int, seconds: float) -> None:
        self.metrics.process.committed(rows, seconds)
        self._hooks.wake()


def _machine_names(host: str) -> list[str]:
    """What this machine is called, and what it was told to listen on."""
    names = []
    for name in (host, socket.gethostname(), f"{socket.gethostname().partition('.')[0]}.local"):
        # A machine may be called by what is no host name.
        with suppress(InvalidUrlError):
            parsed = parse_host(f"[{name}]" if ":" in name else name)
            if not is_address(parsed):
                names.append(parsed)
    return names
