"""The composition root: constructs all components from the configuration, and opens and closes them in order."""

import asyncio
import os
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from downloadd.accounts.assembly import open_users, warn_of_unknown_users
from downloadd.clock import Clock, SystemClock
from downloadd.cluster.heartbeat import Heartbeat, NodeLoad
from downloadd.cluster.identity import read_identity
from downloadd.cluster.shared_settings import shared_settings
from downloadd.config import Config
from downloadd.download_rules import DownloadRules
from downloadd.events import EventBus
from downloadd.explanation import Explainer, ExplanationSources
from downloadd.fronts.aria2.assembly import assemble_rpc
from downloadd.fronts.page.assets import load_assets
from downloadd.fronts.rest.api import create_api, create_rpc_api
from downloadd.fronts.rest.auth import Accounts
from downloadd.fronts.rest.guard_assembly import make_guards
from downloadd.gauges import GaugeCollector
from downloadd.hooks.assembly import assemble_hooks
from downloadd.hooks.file_actions import FileActions, FileSource
from downloadd.hooks.notification import check_notify_urls
from downloadd.hooks.rules import HookRules
from downloadd.hooks.webhook import WebhookSender
from downloadd.import_operation import PENDING_KINDS
from downloadd.imports.assembly import assemble_imports
from downloadd.imports.importers import IMPORTERS
from downloadd.manager.assembly import ManagerParts, ManagerSettings, assemble_manager
from downloadd.manager.history_removal import HistoryRemoval
from downloadd.manager.history_retention import HistoryRetention
from downloadd.manager.prober import Prober
from downloadd.manager.result_list import ResultList
from downloadd.manager.storage_identity import StorageConfirmation, StorageIdentity
from downloadd.metrics import Metrics
from downloadd.origin.public_suffixes import PublicSuffixes
from downloadd.origin.settings import OriginSettings
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.proxies import TrustedProxies
from downloadd.reloader import Reloader
from downloadd.rights import Rights
from downloadd.schedules.assembly import assemble_schedules
from downloadd.servers import Servers
from downloadd.service import DownloadService
from downloadd.settings_service import SettingsService
from downloadd.storage_choice import open_storage
from downloadd.store_choice import open_store
from downloadd.transfer.session import Session
from downloadd.views import DownloadViews
from downloadd.watch.watchers import Watchers


class App:
    """All components of the daemon. Opens with `async with`; then `listen`."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        max_clients: int | None = None,
        max_runs: int | None = None,
        request_stop: Callable[[], None] = lambda: None,
        url: str = "",
    ) -> None:
        """Make a closed app.

        Args:
            config: the configuration, with a resolved state directory.
            clock: the clock; by default that of the machine.
            environment: the environment that hooks inherit.
            max_clients: connections of clients at the same time; None for no limit.
            max_runs: downloads that users may let run at once; None for no limit.
            request_stop: stops the daemon, for clients that may do so.
            url: address of the API for users of other nodes.
        """
        self._config = config
        self._clock = clock or SystemClock()
        self._environment = environment or {}
        self._max_clients = max_clients
        self._max_runs = max_runs
        self._request_stop = request_stop
        self._url = url
        self._stack = AsyncExitStack()
        self.metrics = Metrics()
        # Replaced by a reload; the components that use them ask for the present ones.
        self._directories = DirectoryRules(config.directories)
        self._rules = DownloadRules(config.rules)
        self._rights = Rights(directories=self._directories, is_enabled=config.downloads.enabled)

    async def __aenter__(self) -> Self:
        """Open all components; after this, downloads run, and requests are not accepted yet.

        Raises:
            StartupError: a component cannot be opened; the message says which and why.
        """
        async with AsyncExitStack() as stack:
            for kind in (*IMPORTERS, *PENDING_KINDS):
                self.metrics.imports.register_kind(kind)
            self._hook_rules = HookRules(self._config.hooks)
            self._origins = await asyncio.to_thread(OriginSettings.load, self._config, self._environment)
            bus = EventBus(on_reader_lost=self.metrics.process.reader_lost)
            records = await open_store(
                stack,
                self._config,
                self._clock,
                on_commit=self._on_commit,
                make_deliveries=lambda download: self._hook_rules.deliveries(download, self._clock.wall()),
            )
            node = await read_identity(self._config, self._url, has_instance=records.nodes.needs_heartbeats)
            heartbeat = Heartbeat(records.nodes, node, self._clock)
            heartbeat.on_store_recovered = self.metrics.process.store_recovered
            # The other nodes must know the hooks before they look for messages without one.
            heartbeat.read_load = lambda: NodeLoad(hooks=self._hook_rules.names)
            await stack.enter_async_context(heartbeat)
            self._file_actions = FileActions()
            # From here on, each commit wakes the hooks.
            sender = await stack.enter_async_context(WebhookSender(self._clock, lambda: self._origins.tls))
            hooks = assemble_hooks(
                self._config,
                store=records,
                sender=sender,
                file_actions=self._file_actions,
                environment=self._environment,
                find_others=heartbeat.hooks,
                metrics=self.metrics.hooks,
                clock=self._clock,
            )
            self._hooks = await stack.enter_async_context(hooks)
            identity = await stack.enter_async_context(StorageIdentity(records))
            storage = await open_storage(
                stack,
                self._config,
                self._clock,
                records=records,
                identity=identity,
                metrics=self.metrics.uploads,
                directory_settings=lambda directory: self._directories.settings_of(directory),
                # The kept parts are made after the destination, which removes them.
                reclaim=lambda directory, nbytes: self._kept_parts.reclaim(directory, nbytes),
                environment=self._environment,
                tls=lambda host: self._origins.tls.context_for(host),
            )
            destination = storage.destination
            self._file_actions.source.set_result(
                FileSource(find=records.get, files=storage.files, destination=destination)
            )
            stack.push_async_callback(self._file_actions.close)
            session = await stack.enter_async_context(self._make_session(PublicSuffixes()))
            parts = assemble_manager(
                ManagerSettings.from_config(
                    self._config, self._origins, self._directories, node=node.name, max_runs=self._max_runs
                ),
                records=records,
                destination=destination,
                files=storage.files,
                session=session,
                bus=bus,
                metrics=self.metrics.downloads,
                clock=self._clock,
            )
            self._kept_parts = parts.kept_parts
            heartbeat.read_load = partial(self._read_load, parts)
            heartbeat.on_lease_change = parts.lease.report_lease
            await parts.open_limits(stack)
            accounts = Accounts(())
            # Before downloads run, so that the quotas of all users hold.
            self._users, users = await open_users(
                stack, self._config, records, self._rights, (accounts.replace, parts.replace_users), bus
            )
            warn_of_unknown_users(self._config, self._users)
            manager = await stack.enter_async_context(parts.manager)
            removal = HistoryRemoval(
                records=records,
                destination=destination,
                bus=bus,
                clock=self._clock,
                on_removed=parts.quotas.stored.invalidate,
            )
            retention = await stack.enter_async_context(
                HistoryRetention(records=records, removal=removal, clock=self._clock, config=self._config.history)
            )
            results = ResultList(records, records.results)
            service = DownloadService(
                manager=manager,
                queue=parts.queue,
                results=results,
                history=removal,
                prober=Prober(session, lambda: self._config.downloads, proxies=lambda: self._origins.proxies.names),
                storage=StorageConfirmation(records.storage_root, storage.root),
                clock=self._clock,
                rights=self._rights,
                rules=lambda: self._rules,
            )
            explainer = Explainer(
                ExplanationSources(
                    preview=lambda request, user: parts.admission.preview(request, user=user),
                    rules=lambda: self._rules,
                    origins=lambda: self._origins,
                    limits=lambda: parts.dispatcher.queue.limits,
                    directories=lambda: self._directories,
                    hooks=lambda download: self._hook_rules.names_for(download),
                ),
                rights=self._rights,
                clock=self._clock,
            )
            views = DownloadViews(
                manager=manager,
                queue=parts.queue,
                results=results,
                find_gid=parts.gids.find,
                history=removal,
                find_directories=destination.directories,
                find_nodes=heartbeat.nodes,
                files=storage.files,
                rights=self._rights,
                read_quota=parts.quotas.use_of,
            )
            root = await asyncio.to_thread(os.path.abspath, self._config.storage.root)
            imports = await stack.enter_async_context(
                assemble_imports(
                    self._config,
                    store=records,
                    downloads=manager,
                    destination=destination,
                    bus=bus,
                    clock=self._clock,
                    rights=self._rights,
                    root=root,
                    metrics=self.metrics.imports,
                    reclaim=self._kept_parts.reclaim,
                )
            )
            await stack.enter_async_context(
                Watchers(
                    self._config.watch, imports=imports, directory=self._config.imports.directory, clock=self._clock
                )
            )
            self._schedules = assemble_schedules(
                records,
                manager,
                removal,
                destination,
                self._rights,
                lambda: self._rules,
                accounts.find_by_id,
                self._clock,
            )
            await self._schedules.configure(self._config.schedules, self._users.all)
            await stack.enter_async_context(self._schedules.runner)
            gauges = GaugeCollector(
                manager=manager,
                imports=imports,
                hooks=self._hooks,
                nodes=heartbeat,
                bus=bus,
                destination=destination,
                quotas=lambda: self._directories.quotas,
                limits=lambda: parts.limits.settings,
                user_quotas=parts.quotas.uses,
            )
            stack.push_async_callback(gauges.close)
            settings = SettingsService(
                parts.limits, hours=parts.hours, shared=parts.shared_limits, rights=self._rights, bus=bus
            )
            server = self._config.server
            guards, proxies = make_guards(server), TrustedProxies(server.trusted_proxies)
            rpc = assemble_rpc(
                read_config=lambda: self._config,
                service=service,
                views=views,
                settings=settings,
                accounts=accounts,
                bus=bus,
                metrics=self.metrics,
                clock=self._clock,
                hosts=guards.hosts,
                root=root,
                request_stop=self._request_stop,
            )
            api = create_api(
                service=service,
                explainer=explainer,
                views=views,
                settings=settings,
                schedules=self._schedules,
                users=users,
                imports=imports,
                link_secret=secrets.token_bytes(32),
                rpc=rpc,
                bus=bus,
                metrics=self.metrics,
                collect_gauges=gauges.collect,
                accounts=accounts,
                guards=guards,
                clock=self._clock,
                page=await asyncio.to_thread(load_assets),
                proxies=proxies,
                base_path=self._config.server.base_path,
                access_log=server.access_log,
                storage_problem=manager.storage_problem,
                node_problem=lambda: heartbeat.problem,
            )
            rpc_api = None
            if rpc is not None:
                log = server.access_log
                rpc_api = create_rpc_api(
                    rpc=rpc, metrics=self.metrics, clock=self._clock, proxies=proxies, access_log=log
                )
            self._servers = await stack.enter_async_context(Servers(api, rpc_api, max_clients=self._max_clients))
            self._reloader = Reloader(
                users=self._users,
                session=session,
                manager=manager,
                hours=parts.hours,
                hooks=self._hooks,
                retention=retention,
            )
            stack.callback(heartbeat.drain)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop accepting requests, interrupt running downloads, and close all components; within 10 s."""
        await self._stack.aclose()

    async def listen(
        self,
        sockets: Sequence[socket.socket],
        *,
        rpc_sockets: Sequence[socket.socket] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Accept requests on bound sockets; see `Servers.listen`."""
        await self._servers.listen(sockets, rpc_sockets=rpc_sockets, tls=tls)

    async def reload(self, config: Config) -> None:
        """Apply users, hosts, credentials, policy, directories, limits, what the history keeps, and hooks.

        Running downloads continue as they started. All other settings need a restart.

        Raises:
            StartupError: a file or a URL that the configuration names cannot be used; nothing is applied.
        """
        await asyncio.to_thread(check_notify_urls, config.hooks)
        self._origins = await asyncio.to_thread(OriginSettings.load, config, self._environment)
        self._config = replace(
            self._config,
            downloads=config.downloads,
            limits=config.limits,
            hosts=config.hosts,
            proxies=config.proxies,
            credentials=config.credentials,
            users=config.users,
        )
        self._directories = DirectoryRules(config.directories)
        self._rights.configure(directories=self._directories, is_enabled=config.downloads.enabled)
        self._hook_rules = HookRules(config.hooks)
        self._rules = DownloadRules(config.rules)
        self._reloader.apply(config, origins=self._origins, directories=self._directories)
        warn_of_unknown_users(config, self._users)
        await self._schedules.configure(config.schedules, self._users.all)

    # -- components ----------------------------------------------------------------------------------------------------

    def _read_load(self, parts: ManagerParts) -> NodeLoad:
        return NodeLoad(
            hooks=self._hook_rules.names,
            running=len(parts.runs),
            speed=round(parts.manager.own_speed()),
            runs=parts.runs.report(),
            settings=shared_settings(self._config, parts.limits.settings),
        )

    def _make_session(self, suffixes: PublicSuffixes) -> Session:
        return Session(
            policy=self._origins.policy,
            credentials=self._origins.credentials,
            stall_timeout=self._config.downloads.stall_timeout,
            tls=self._origins.tls,
            proxies=self._origins.proxies,
            hosts=self._origins.hosts,
            suffixes=suffixes,
            clock=self._clock,
        )

    def _on_commit(self, rows: int, seconds: float) -> None:
        self.metrics.process.committed(rows, seconds)
        self._hooks.wake()
