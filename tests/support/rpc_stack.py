"""Methods of aria2's RPC with a real service, manager, store and directory."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from support.fake_prober import FakeProber
from support.fake_storage import FakeStorage
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.node_reports import no_nodes
from support.waiting import wait_until

from downloadd.clock import SystemClock
from downloadd.config import DirectoryConfig, DownloadsConfig
from downloadd.download import Snapshot
from downloadd.fronts.aria2.calls import Call, EncodedList
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.methods.methods import Methods
from downloadd.manager.gid_lookup import GidLookup
from downloadd.manager.history_removal import HistoryRemoval
from downloadd.manager.result_list import ResultList
from downloadd.policy.directories import DirectoryRules
from downloadd.records.protocol import HistoryFilter
from downloadd.rights import Rights
from downloadd.service import DownloadService
from downloadd.settings_service import SettingsService
from downloadd.users import User
from downloadd.views import DownloadViews

USERS: Final = {
    "ann": User(id="ann", permissions=frozenset({"download"})),
    "carl": User(id="carl", permissions=frozenset({"download"})),
    "viewer": User(id="viewer", permissions=frozenset({"view-downloads"})),
    "importer": User(id="importer", permissions=frozenset({"run-import"})),
}
"""Users by their tokens."""

DIRECTORIES: Final = DirectoryRules([DirectoryConfig(path="anns", users=("ann",))])


class RpcStack:
    """Methods and the parts below them."""

    def __init__(
        self, stack: ManagerStack, methods: Methods, rights: Rights, service: DownloadService, gids: GidLookup
    ) -> None:
        self.stack = stack
        self.methods = methods
        self.rights = rights
        self.service = service
        self.gids = gids
        self.shutdowns = 0

    @property
    def root(self) -> str:
        """The absolute path of the storage root."""
        return str(self.stack.root)

    async def call(self, method: str, *params: Any, token: str | None = "ann") -> Any:
        """Return the result of a call of `aria2.<method>`.

        Raises:
            RpcError: it fails.
        """
        front = [] if token is None else [f"token:{token}"]
        call = Call(method=f"aria2.{method}", params=[*front, *params])
        (outcome,) = await self.methods.call_all([call], request_id="r")
        if outcome.error is not None:
            raise outcome.error
        return outcome.result.decode() if isinstance(outcome.result, EncodedList) else outcome.result

    async def refusal(self, method: str, *params: Any, token: str | None = "ann") -> str:
        """Return the message of a call that fails."""
        try:
            result = await self.call(method, *params, token=token)
        except RpcError as error:
            return error.message
        raise AssertionError(f"the result is {result!r}")

    async def find(self, gid: str) -> Snapshot:
        """Return the download with a gid."""
        return await self.gids.find(gid)

    async def history(self) -> list[str]:
        """Return the gids of all ended downloads, newest first."""
        return [row.gid for row in await self.stack.manager.history(HistoryFilter())]

    async def reaches(self, gid: str, *statuses: str) -> dict[str, Any]:
        """Wait until a download has one of these statuses; return its struct."""

        async def read() -> dict[str, Any] | None:
            status: dict[str, Any] = await self.call("tellStatus", gid)
            return status if status["status"] in statuses else None

        found: dict[str, Any] = await wait_until(read, every=0.005)
        return found

    async def receives(self, gid: str, nbytes: int = 1) -> None:
        """Wait until a download has received so many bytes."""

        async def has_bytes() -> bool:
            return int((await self.call("tellStatus", gid, ["completedLength"]))["completedLength"]) >= nbytes

        await wait_until(has_bytes, every=0.005)


@asynccontextmanager
async def open_rpc(
    folder: Path, config: DownloadsConfig = CONFIG, *, allows_shutdown: bool = True
) -> AsyncIterator[RpcStack]:
    """Open all parts in order, and close them as the daemon does."""
    async with open_stack(folder, config) as stack:
        gids = GidLookup(stack.records.gids, stack.runs)
        rights = Rights(directories=DIRECTORIES, is_enabled=True)
        clock = SystemClock()
        history = HistoryRemoval(records=stack.records, destination=stack.destination, bus=stack.bus, clock=clock)
        results = ResultList(stack.records, stack.records.results)
        service = DownloadService(
            manager=stack.manager,
            queue=stack.queue,
            results=results,
            history=history,
            prober=FakeProber(),
            storage=FakeStorage(),
            clock=clock,
            rights=rights,
        )
        views = DownloadViews(
            manager=stack.manager,
            queue=stack.queue,
            results=results,
            find_gid=gids.find,
            history=history,
            find_directories=stack.destination.directories,
            find_nodes=no_nodes,
            files=stack.destination.finished_files,
            rights=rights,
        )

        def shut_down() -> None:
            rpc.shutdowns += 1

        shutdown: Callable[[], None] | None = shut_down if allows_shutdown else None
        methods = Methods(
            service=service,
            views=views,
            settings=SettingsService(stack.limits, hours=stack.hours, rights=rights, bus=stack.bus),
            authenticate=USERS.get,
            read_config=lambda: config,
            root=str(stack.root),
            shutdown=shutdown,
        )
        rpc = RpcStack(stack, methods, rights, service, gids)
        yield rpc
