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

from downloadd.api.auth import Accounts
from downloadd.api.gate import FailedLogins, Gate, HostNames
from downloadd.api.routes import create_api
from downloadd.api.server import ApiRunner
from downloadd.clock import Clock, SystemClock
from downloadd.config import Config
from downloadd.errors import InvalidUrlError
from downloadd.events import EventBus
from downloadd.hooks.hooks import Hooks
from downloadd.hooks.program import Runner
from downloadd.hooks.rules import HookRules
from downloadd.hooks.webhook import Poster
from downloadd.imports.importing import Imports
from downloadd.imports.uploads import Uploads
from downloadd.manager.dispatcher import LocalDispatcher
from downloadd.manager.manager import Manager, limits_of
from downloadd.metrics import Metrics
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.policy.proxies import TrustedProxies
from downloadd.policy.url import is_address, parse_host
from downloadd.records.database import UPLOADS_NAME
from downloadd.records.sqlite import SqliteRecords
from downloadd.storage.local import LocalDestination
from downloadd.transfer.session import Session
from downloadd.vitals import Vitals
from downloadd.web.dashboard import load_dashboard

HANDLERS_DRAIN: Final = 1.5
"""Seconds that answers under way get when the daemon stops."""
BACKLOG: Final = 1024
"""Connections that the kernel may hold for us."""


class App:
    """The daemon's parts, wired. Opens with `async with`; then `listen`."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        most_clients: int | None = None,
    ) -> None:
        """Takes what the parts are made from.

        Args:
            config: has its state directory resolved and at least one user.
            clock: the time; by default the machine's.
            environment: what hooks inherit.
            most_clients: connections of clients at once; None for no limit.
        """
        self._most_clients = most_clients
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
            self._bus = bus = EventBus(lost=metrics.reader_lost)
            self._hook_rules = HookRules(config.hooks)
            records = await stack.enter_async_context(
                SqliteRecords(
                    Path(config.server.state_dir),
                    clock,
                    committed=self._committed,
                    to_tell=lambda download: self._hook_rules.deliveries(download, clock.wall()),
                )
            )
            self._hooks = await stack.enter_async_context(
                Hooks(
                    config.hooks,
                    records=records.deliveries,
                    poster=await stack.enter_async_context(Poster(clock)),
                    runner=Runner(self._environment, config.storage.root),
                    metrics=metrics,
                    clock=clock,
                )
            )
            self._directories = DirectoryRules(config.directories)
            destination = await stack.enter_async_context(
                LocalDestination(
                    Path(config.storage.root),
                    min_free=config.storage.min_free,
                    fsync=config.storage.fsync,
                    terms=lambda directory: self._directories.terms_of(directory),
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
                    dispatcher=LocalDispatcher(limits_of(config.downloads), clock),
                    bus=bus,
                    metrics=metrics,
                    clock=clock,
                    policy=policy,
                    directories=self._directories,
                    config=config.downloads,
                )
            )
            imports = await stack.enter_async_context(
                Imports(
                    records=records.imports,
                    downloads=self._manager,
                    destination=destination,
                    uploads=Uploads(
                        Path(config.server.state_dir) / UPLOADS_NAME,
                        max_upload=config.imports.max_upload,
                        min_free=config.storage.min_free,
                        clock=clock,
                    ),
                    bus=bus,
                    clock=clock,
                    config=config.imports,
                    moved=metrics.import_moved,
                )
            )
            vitals = Vitals(
                manager=self._manager,
                imports=imports,
                hooks=self._hooks,
                bus=bus,
                destination=destination,
                quotas=lambda: self._directories.quotas,
            )
            stack.push_async_callback(vitals.close)
            self._accounts = Accounts(config.users)
            api = create_api(
                manager=self._manager,
                imports=imports,
                bus=bus,
                metrics=metrics,
                observe=vitals.observe,
                accounts=self._accounts,
                gate=Gate(
                    names=HostNames(_own_names(config.server.host), config.server.hosts),
                    logins=FailedLogins(config.server.failed_logins),
                ),
                clock=clock,
                allow=lambda: self._config.downloads.allow,
                may_use=lambda user, directory: self._directories.may_use(user, directory),
                directories=destination.directories,
                page=await asyncio.to_thread(load_dashboard),
                proxies=TrustedProxies(config.server.trusted_proxies),
                base_path=config.server.base_path,
            )
            self._runner = ApiRunner(api, most=self._most_clients, shutdown_timeout=HANDLERS_DRAIN)
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
            await web.SockSite(self._runner, sock, backlog=BACKLOG, ssl_context=context).start()

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
        self._bus.cut()
        self._session.configure(
            policy=policy, credentials=config.credentials, stall_timeout=config.downloads.stall_timeout
        )
        self._manager.configure(policy=policy, directories=self._directories, config=config.downloads)
        self._hook_rules = HookRules(config.hooks)
        self._hooks.configure(config.hooks)

    def _committed(self, rows: int, seconds: float) -> None:
        self.metrics.committed(rows, seconds)
        self._hooks.look()


def _own_names(host: str) -> list[str]:
    """What this machine is called, and what it was told to listen on."""
    names = []
    for name in (host, socket.gethostname(), f"{socket.gethostname().partition('.')[0]}.local"):
        # A machine may be called by what is no host name.
        with suppress(InvalidUrlError):
            parsed = parse_host(f"[{name}]" if ":" in name else name)
            if not is_address(parsed):
                names.append(parsed)
    return names
