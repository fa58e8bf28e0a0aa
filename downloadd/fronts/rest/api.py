"""Assembly of the REST API from its handlers."""

from collections.abc import Awaitable, Callable, Mapping

from downloadd.accounts.service import UserService
from downloadd.bulk_actions import BulkActions
from downloadd.clock import Clock
from downloadd.errors import DownloadError
from downloadd.events import EventBus
from downloadd.explanation import Explainer
from downloadd.fronts.aria2.front import RpcFront
from downloadd.fronts.page.assets import Asset
from downloadd.fronts.page.endpoints import PageEndpoints
from downloadd.fronts.rest.auth import Accounts
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.bulk_actions import BulkEndpoint
from downloadd.fronts.rest.directory import DirectoryEndpoints
from downloadd.fronts.rest.directory_completion import DirectoryCompletionEndpoint
from downloadd.fronts.rest.downloads import DownloadEndpoints
from downloadd.fronts.rest.event_stream import EventStream
from downloadd.fronts.rest.explain import ExplainEndpoint
from downloadd.fronts.rest.file_links import FileLinks
from downloadd.fronts.rest.files import FileEndpoints
from downloadd.fronts.rest.health import MonitoringEndpoints
from downloadd.fronts.rest.history import HistoryEndpoints
from downloadd.fronts.rest.hosts import HostsEndpoint
from downloadd.fronts.rest.long_poll import LongPoll
from downloadd.fronts.rest.middleware import RequestMiddleware
from downloadd.fronts.rest.nodes import NodesEndpoint
from downloadd.fronts.rest.openapi import DocumentEndpoint
from downloadd.fronts.rest.probe import ProbeEndpoint
from downloadd.fronts.rest.quota import QuotaEndpoint
from downloadd.fronts.rest.reference import ReferencePage
from downloadd.fronts.rest.request_guards import RequestGuards
from downloadd.fronts.rest.request_metrics import RequestMetrics
from downloadd.fronts.rest.router import Router
from downloadd.fronts.rest.routes import Endpoints, build_browser_routes, build_routes
from downloadd.fronts.rest.schedules import ScheduleEndpoints
from downloadd.fronts.rest.server import Api
from downloadd.fronts.rest.settings import SettingsEndpoints
from downloadd.fronts.rest.users import UserEndpoints
from downloadd.fronts.rest.waiting_list import QueueEndpoints
from downloadd.fronts.rocketchat.endpoints import ImportEndpoints, ImportService
from downloadd.metrics import GaugeSnapshot
from downloadd.policy.proxies import TrustedProxies
from downloadd.schedules.service import ScheduleService
from downloadd.service import DownloadService
from downloadd.settings_service import SettingsService
from downloadd.views import DownloadViews


def create_api(
    *,
    service: DownloadService,
    explainer: Explainer,
    views: DownloadViews,
    settings: SettingsService,
    schedules: ScheduleService,
    users: UserService,
    imports: ImportService,
    bus: EventBus,
    metrics: RequestMetrics,
    collect_gauges: Callable[[], Awaitable[GaugeSnapshot]],
    accounts: Accounts,
    guards: RequestGuards,
    clock: Clock,
    page: Mapping[str, Asset],
    proxies: TrustedProxies,
    base_path: str = "",
    link_secret: bytes,
    rpc: RpcFront | None = None,
    storage_problem: Callable[[], str | None] = lambda: None,
    node_problem: Callable[[], DownloadError | None] = lambda: None,
    access_log: bool = True,
    reader: BodyReader | None = None,
) -> Api:
    """Return the API, to be served with `ApiRunner`.

    Args:
        service: the actions on downloads.
        explainer: explains requests before they are made.
        views: the views of downloads.
        settings: the settings that users may change.
        schedules: the schedules.
        users: the users, as administrators change them.
        imports: the imports.
        bus: the events.
        metrics: the counters of requests.
        collect_gauges: returns the present values for the metrics.
        accounts: the users and their tokens.
        guards: the checks before authentication.
        clock: the clock.
        page: the files of the web page, by name.
        proxies: the proxies whose forwarding fields are trusted.
        base_path: the path that all paths begin with.
        link_secret: random bytes, which sign links to files.
        rpc: the RPC interface of aria2, which has paths of its own; None for a server without it.
        storage_problem: returns why the storage suspends the queue, in words; None if it does not.
        node_problem: returns the error of a node that does not work or stops; None if it works.
        access_log: log a line for each request.
        reader: the reader of request bodies.
    """
    long_poll = LongPoll(views)
    reader = reader or BodyReader()
    document = DocumentEndpoint()
    links = FileLinks(accounts, link_secret)
    page_endpoints = PageEndpoints(page)
    table = build_routes(
        Endpoints(
            directory=DirectoryEndpoints(service=service, views=views, long_poll=long_poll),
            downloads=DownloadEndpoints(service=service, views=views, reader=reader),
            queue=QueueEndpoints(service=service, views=views, reader=reader),
            history=HistoryEndpoints(service=service, views=views),
            files=FileEndpoints(views=views, links=links, clock=clock),
            events=EventStream(views=views, bus=bus),
            health=MonitoringEndpoints(
                service=service,
                metrics=metrics,
                collect_gauges=collect_gauges,
                node_problem=node_problem,
                storage_problem=storage_problem,
            ),
            imports=ImportEndpoints(service=imports, reader=reader),
            document=document,
            directories=DirectoryCompletionEndpoint(views),
            hosts=HostsEndpoint(views),
            quota=QuotaEndpoint(views),
            nodes=NodesEndpoint(views),
            probe=ProbeEndpoint(service=service, reader=reader),
            schedules=ScheduleEndpoints(service=schedules, reader=reader),
            bulk=BulkEndpoint(actions=BulkActions(service), reader=reader),
            users=UserEndpoints(service=users, reader=reader),
            explain=ExplainEndpoint(explainer=explainer, reader=reader),
            settings=SettingsEndpoints(service=settings, reader=reader),
            page=page_endpoints,
        )
    )
    document.describe(table, base_path)

    def close_long_lived() -> None:
        long_poll.release_all()
        bus.close()
        if rpc is not None:
            rpc.close_sockets()

    browser_routes = build_browser_routes(page_endpoints, ReferencePage(document))
    router = Router((*table, *browser_routes), accounts, guards, metrics, clock, links=links)
    dispatch = router.dispatch if rpc is None else rpc.beside(router.dispatch)
    middleware = RequestMiddleware(
        dispatch, metrics=metrics, clock=clock, proxies=proxies, base_path=base_path, access_log=access_log
    )
    return Api(middleware.handle, close_long_lived)


def create_rpc_api(
    *, rpc: RpcFront, metrics: RequestMetrics, clock: Clock, proxies: TrustedProxies, access_log: bool = True
) -> Api:
    """Return an API of the RPC interface alone, for a port of its own; its paths have no prefix.

    Args:
        rpc: the RPC interface of aria2.
        metrics: the counters of requests.
        clock: the clock.
        proxies: the proxies whose forwarding fields are trusted.
        access_log: log a line for each request.
    """
    middleware = RequestMiddleware(
        rpc.handle_alone,
        metrics=metrics,
        clock=clock,
        proxies=proxies,
        base_path="",
        access_log=access_log,
    )
    return Api(middleware.handle, rpc.close_sockets)
