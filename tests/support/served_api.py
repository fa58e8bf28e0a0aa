"""The API on a real socket, over the service and a manager in memory."""

import asyncio
import hashlib
from typing import Any
from unittest.mock import Mock

from aiohttp.test_utils import BaseTestServer, TestClient
from aiohttp.web import BaseRequest, BaseRunner
from support.clocks import ManualClock
from support.dispatchers import make_dispatcher
from support.fake_files import FakeFiles
from support.fake_history import FakeHistory
from support.fake_imports import FakeImports
from support.fake_manager import FakeManager, FakeMetrics
from support.fake_prober import FakeProber
from support.fake_queue import FakeQueue, FakeResults
from support.fake_rpc import FakeMethods, fake_notification_of
from support.fake_schedules import FakeSchedules
from support.fake_storage import FakeStorage
from support.fake_users import FakeUsers
from support.waiting import CONDITION_TIMEOUT

from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.service import UserService
from downloadd.config import Aria2Config, Config, DirectoryConfig, DownloadsConfig, RuleConfig, UserConfig
from downloadd.download import Download
from downloadd.download_rules import DownloadRules
from downloadd.errors import DownloadError
from downloadd.events import EventBus
from downloadd.explanation import Explainer, ExplanationSources
from downloadd.fronts.aria2.front import create_rpc_front
from downloadd.fronts.aria2.sockets.socket_limits import SocketLimits
from downloadd.fronts.cross_origin import AllowedOrigins
from downloadd.fronts.page.assets import load_assets
from downloadd.fronts.rest.api import create_api
from downloadd.fronts.rest.auth import Accounts
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.request_guards import AllowedHosts, LoginThrottle, RequestGuards
from downloadd.fronts.rest.server import Api, ApiRunner
from downloadd.manager.hourly_limits import HourlyLimits
from downloadd.manager.limits import Limits
from downloadd.manager.run_limits import RunLimits
from downloadd.manager.speed_share import SpeedLimit
from downloadd.metrics import GaugeSnapshot
from downloadd.node import Node
from downloadd.origin.settings import OriginSettings
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.proxies import TrustedProxies
from downloadd.rights import Rights
from downloadd.schedules.runner import ScheduleRunner
from downloadd.schedules.service import ScheduleService
from downloadd.service import DownloadService
from downloadd.settings_service import SettingsService
from downloadd.views import DownloadViews

TOKEN = "open-sesame"
READER_TOKEN = "may-read-files"
ADMIN_TOKEN = "may-manage-users"
MAX_RUNS = 500
"""Downloads that the open files are said to be enough for."""
DIRECTORIES = DirectoryRules([DirectoryConfig(path="not-for-alice", users=("bob",))])
AUTH = {"Authorization": f"Bearer {TOKEN}"}


def user(id: str, token: str, *permissions: str) -> UserConfig:
    return UserConfig(id=id, token_hash=f"sha256:{hashlib.sha256(token.encode()).hexdigest()}", permissions=permissions)


class ApiTestServer(BaseTestServer):
    """Server with the runner that the daemon uses."""

    __test__ = False

    def __init__(self, api: Api, settings: dict[str, Any]) -> None:
        super().__init__()
        self._api = api
        self._settings = settings

    async def _make_runner(self, **settings: Any) -> BaseRunner:
        del settings["handler_cancellation"]
        return ApiRunner(self._api, **settings, **self._settings)


class _ScheduledDownloads:
    """The downloads of a fake manager, as schedules use them."""

    def __init__(self, manager: FakeManager) -> None:
        self._manager = manager

    async def get(self, id: str) -> Download | None:
        return self._manager.downloads.get(id)

    async def remove(self, download: Download, *, with_file: bool) -> bool:
        raise NotImplementedError


class ServedApi:
    """API with the parts that tests inspect.

    Attributes:
        manager: the fake below the service.
        queue: the fake of the waiting list.
        results: the fake of the list of results.
        history: the fake that removes from the history of the manager.
        prober: the fake of the probes.
        storage: the fake of the storage root.
        files: the fake of the finished files.
        nodes: the nodes of the database.
        node_problem: the error of a node that does not work.
        schedules: the service of the schedules, in memory.
        users: the users that can be changed, in memory.
        limits: the limits that the settings change.
        hours: the limits of hours of the week, of which there are none.
        methods: the fake methods of the RPC interface.
    """

    def __init__(
        self,
        *,
        failed_logins: int = 0,
        allowed_origins: tuple[str, ...] = (),
        reader: BodyReader | None = None,
        server: dict[str, Any] | None = None,
        base_path: str = "",
        aria2: Aria2Config | None = None,
        token_delay: float = 0,
        socket_limits: SocketLimits | None = None,
        access_log: bool = True,
        **settings: Any,
    ) -> None:
        self.clock = ManualClock()
        self.nodes: list[Node] = []
        self.node_problem: DownloadError | None = None
        self.bus = EventBus()
        self.manager = FakeManager(self.bus, self.clock, **settings)
        self.queue = FakeQueue(self.manager)
        self.results = FakeResults(self.manager)
        self.history = FakeHistory(self.manager)
        self.prober = FakeProber()
        self.storage = FakeStorage()
        self.files = FakeFiles()
        self.rights = Rights(directories=DIRECTORIES, is_enabled=True)
        self.service = DownloadService(
            manager=self.manager,
            queue=self.queue,
            results=self.results,
            history=self.history,
            prober=self.prober,
            storage=self.storage,
            clock=self.clock,
            rights=self.rights,
            rules=lambda: DownloadRules(self.rules),
        )
        self.views = DownloadViews(
            manager=self.manager,
            queue=self.queue,
            results=self.results,
            find_gid=self.queue.find_gid,
            history=self.history,
            find_directories=self._directories,
            find_nodes=self._find_nodes,
            files=self.files,
            rights=self.rights,
        )
        dispatcher = make_dispatcher(Limits(max_concurrent=64, max_per_host=16), self.clock)
        self.limits = RunLimits(dispatcher.queue, SpeedLimit(0))
        self.hours = HourlyLimits(
            self.limits, entries=(), config=DownloadsConfig(), bus=self.bus, clock=self.clock, max_runs=MAX_RUNS
        )
        self.settings = SettingsService(self.limits, hours=self.hours, rights=self.rights, bus=self.bus)
        schedules, downloads = FakeSchedules(), _ScheduledDownloads(self.manager)
        self.schedules = ScheduleService(
            records=schedules,
            lookup=downloads,
            runner=ScheduleRunner(
                records=schedules,
                lookup=downloads,
                downloads=self.manager,
                removal=downloads,
                destination=Mock(),
                rights=self.rights,
                rules=DownloadRules,
                find_user=lambda id: self.accounts.find_by_id(id),
                clock=self.clock,
            ),
            rights=self.rights,
            clock=self.clock,
        )
        self.metrics = FakeMetrics()
        self.imports = FakeImports()
        self.accounts = Accounts(
            [
                user("alice", TOKEN, "download"),
                user("victor", "may-look", "view-downloads"),
                user("rita", READER_TOKEN, "view-downloads", "read-files"),
                user("ivan", "may-import", "run-import", "view-import-operations"),
                user("ada", ADMIN_TOKEN, "manage-users"),
            ]
        )
        known = KnownUsers([user("ada", ADMIN_TOKEN, "manage-users"), user("alice", TOKEN, "download")], lambda _: None)
        self.users = FakeUsers(known)
        hosts = AllowedHosts((), ("api",))
        self.methods = FakeMethods(self.accounts.find_by_token)
        self.rpc = (
            None
            if aria2 is None
            else create_rpc_front(
                methods=self.methods,
                notification_of=fake_notification_of,
                config=aria2,
                find_user=self.accounts.find_by_token,
                max_failed_logins=failed_logins,
                hosts=hosts,
                bus=self.bus,
                metrics=self.metrics,
                clock=self.clock,
                reader=reader,
                limits=socket_limits,
                token_delay=token_delay,
            )
        )
        self.rules: list[RuleConfig] = []
        self.hooks: list[str] = []
        explainer = Explainer(
            ExplanationSources(
                preview=self.manager.preview,
                rules=lambda: DownloadRules(self.rules),
                origins=lambda: OriginSettings.load(Config(), {}),
                limits=lambda: dispatcher.queue.limits,
                directories=lambda: DIRECTORIES,
                hooks=lambda download: self.hooks,
            ),
            rights=self.rights,
            clock=self.clock,
        )
        api = create_api(
            service=self.service,
            explainer=explainer,
            views=self.views,
            settings=self.settings,
            schedules=self.schedules,
            users=UserService(self.users, known, self.rights),
            imports=self.imports,
            bus=self.bus,
            metrics=self.metrics,
            collect_gauges=self.collect_gauges,
            accounts=self.accounts,
            guards=RequestGuards(
                hosts=hosts,
                throttle=LoginThrottle(failed_logins),
                origins=AllowedOrigins(allowed_origins, setting="server.allowed_origins"),
            ),
            clock=self.clock,
            page=load_assets(),
            proxies=TrustedProxies(()),
            link_secret=b"secret of this process",
            reader=reader,
            base_path=base_path,
            rpc=self.rpc,
            storage_problem=lambda: self.storage.problem,
            node_problem=lambda: self.node_problem,
            access_log=access_log,
        )
        self.close_long_lived = api.close_long_lived
        self.server = ApiTestServer(api, server or {})
        self.client: TestClient[BaseRequest, None] = TestClient(self.server, headers=AUTH)

    def allow_downloads(self, allowed: bool) -> None:
        """Configure the service as in a daemon that was started with `--allow-download`, or without it."""
        self.rights.configure(directories=DIRECTORIES, is_enabled=allowed)

    async def _directories(self, prefix: str, limit: int) -> list[str]:
        known = ["Downloads", "Imports", "not-for-alice"]
        return [one for one in known if one.startswith(prefix)][:limit]

    async def _find_nodes(self) -> list[Node]:
        return self.nodes

    async def collect_gauges(self) -> GaugeSnapshot:
        return GaugeSnapshot(active=await self.manager.counts())

    async def exchange(self, request: bytes) -> bytes:
        """Send bytes as they are; return the response once the server has closed the connection."""
        reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
        try:
            writer.write(request)
            async with asyncio.timeout(CONDITION_TIMEOUT):
                return await reader.read()
        finally:
            writer.close()

    async def raw(self, method: str, target: str, *fields: str) -> tuple[int, dict[str, str], bytes]:
        """Send a target byte for byte; return status, header fields and body."""
        lines = (f"{method} {target} HTTP/1.1", "Host: api", f"Authorization: Bearer {TOKEN}", *fields)
        request = "\r\n".join((*lines, "Connection: close", "", "")).encode("utf-8", "surrogateescape")
        head, _, body = (await self.exchange(request)).partition(b"\r\n\r\n")
        status, *rest = head.decode().split("\r\n")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in rest), body
