"""Every method, path, permission and handler, one line each; and the API that is made from them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import HttpVersion11, web

from downloadd.clock import Clock
from downloadd.errors import HttpVersionNotSupportedError, InvalidParameterError, MethodNotAllowedError, NotFoundError
from downloadd.events import EventBus
from downloadd.fronts.page.assets import Asset
from downloadd.fronts.page.endpoints import PageEndpoints
from downloadd.fronts.rest import contracts
from downloadd.fronts.rest.auth import Accounts, read_credentials
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.directory import DirectoryEndpoints
from downloadd.fronts.rest.directory_completion import DirectoryCompletionEndpoint
from downloadd.fronts.rest.downloads import DownloadEndpoints
from downloadd.fronts.rest.event_stream import EventStream
from downloadd.fronts.rest.health import MonitoringEndpoints
from downloadd.fronts.rest.history import HistoryEndpoints
from downloadd.fronts.rest.idempotency import IDEMPOTENCY_FIELD, read_key_field
from downloadd.fronts.rest.long_poll import LongPoll
from downloadd.fronts.rest.middleware import RequestMiddleware
from downloadd.fronts.rest.openapi import DocumentEndpoint
from downloadd.fronts.rest.query_decoding import redact_parameter_name
from downloadd.fronts.rest.reference import ASSET_TYPES, ReferencePage
from downloadd.fronts.rest.request_context import ANONYMOUS, REQUESTED_VERSION, RequestContext
from downloadd.fronts.rest.request_guards import RequestGuards, reject_cross_site
from downloadd.fronts.rest.responses import permission_missing_response, unauthorized_response
from downloadd.fronts.rest.route import Access, Route
from downloadd.fronts.rest.server import Api
from downloadd.fronts.rest.service import DownloadService, RequestMetrics
from downloadd.fronts.rest.target import SELECTORS, Target
from downloadd.fronts.rocketchat.endpoints import ImportEndpoints, ImportService
from downloadd.metrics import GaugeSnapshot
from downloadd.policy.proxies import TrustedProxies
from downloadd.users import Permission, User

EXPECTATION: Final = "100-continue"
"""The one that RFC 9110, section 10.1.1 defines."""


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the routes lead to."""

    directory: DirectoryEndpoints
    downloads: DownloadEndpoints
    history: HistoryEndpoints
    events: EventStream
    health: MonitoringEndpoints
    imports: ImportEndpoints
    document: DocumentEndpoint
    directories: DirectoryCompletionEndpoint
    page: PageEndpoints


_DOWNLOAD: Final = Permission.DOWNLOAD
_VIEW: Final = Permission.VIEW_DOWNLOADS
_IMPORT: Final = Permission.RUN_IMPORT
_VIEW_IMPORTS: Final = Permission.VIEW_IMPORT_OPERATIONS
_AUTHENTICATED: Final = Access.AUTHENTICATED
_PUBLIC: Final = Access.PUBLIC
_DIRECTORY_PATH: Final = "/{directory}"
_DOWNLOADS_PATH: Final = "/api/v1/downloads"
_DOWNLOAD_PATH: Final = "/api/v1/downloads/{id}"
_API_PREFIX: Final = "/api/v1"


def build_routes(endpoints: Endpoints) -> tuple[Route, ...]:
    """The table."""
    c = contracts
    return (
        Route("GET", _DIRECTORY_PATH, _DOWNLOAD, endpoints.directory.start, c.START, "Start a download", "download"),
        Route(
            "GET",
            _DIRECTORY_PATH,
            _VIEW,
            endpoints.directory.listing,
            c.DIRECTORY_LISTING,
            "List one directory",
            "downloads",
            True,
        ),
        Route("GET", "/", _VIEW, endpoints.history.page, c.HISTORY, "Read the history", "download_history", True),
        Route(
            "GET",
            _DOWNLOADS_PATH,
            _VIEW,
            endpoints.downloads.listing,
            c.LISTING,
            "List all active downloads",
            head=True,
        ),
        Route("POST", _DOWNLOADS_PATH, _DOWNLOAD, endpoints.downloads.batch, c.BATCH, "Start many downloads at once"),
        Route("GET", _DOWNLOAD_PATH, _VIEW, endpoints.downloads.show, c.DOWNLOAD, "Look at one download", head=True),
        Route("DELETE", _DOWNLOAD_PATH, _DOWNLOAD, endpoints.downloads.cancel, c.CANCEL, "Cancel a download"),
        Route(
            "PATCH",
            _DOWNLOAD_PATH,
            _DOWNLOAD,
            endpoints.downloads.amend,
            c.AMEND,
            "Change priority, speed limit or URL",
        ),
        Route("POST", f"{_DOWNLOAD_PATH}/pause", _DOWNLOAD, endpoints.downloads.pause, c.PAUSE, "Pause a download"),
        Route(
            "POST",
            f"{_DOWNLOAD_PATH}/resume",
            _DOWNLOAD,
            endpoints.downloads.resume,
            c.RESUME,
            "Resume a paused download",
        ),
        Route(
            "POST",
            f"{_DOWNLOAD_PATH}/retry",
            _DOWNLOAD,
            endpoints.downloads.retry,
            c.RETRY,
            "Try an ended download again",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/uploadImportFile",
            _IMPORT,
            endpoints.imports.upload,
            c.UPLOAD,
            "Upload an import file",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/imports",
            _IMPORT,
            endpoints.imports.upload_raw,
            c.UPLOAD_RAW,
            "Upload a big import file",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/downloadPublicImportFile",
            _IMPORT,
            endpoints.imports.fetch,
            c.FETCH_FILE,
            "Fetch an import",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/getImportFileData",
            _IMPORT,
            endpoints.imports.file_data,
            c.FILE_DATA,
            "Look into an import",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/getImportProgress",
            _IMPORT,
            endpoints.imports.progress,
            c.PROGRESS,
            "Ask how far it is",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/startImport",
            _IMPORT,
            endpoints.imports.start,
            c.START_IMPORT,
            "Choose what is imported",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/downloadPendingFiles",
            _IMPORT,
            endpoints.imports.pending_files,
            c.FETCH_PENDING,
            "Fetch files",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/downloadPendingAvatars",
            _IMPORT,
            endpoints.imports.pending_avatars,
            c.FETCH_PENDING,
            "Get avatars",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/getCurrentImportOperation",
            _IMPORT,
            endpoints.imports.current,
            c.CURRENT_OPERATION,
            "Look at the newest operation",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/getLatestImportOperations",
            _VIEW_IMPORTS,
            endpoints.imports.latest,
            c.LATEST_OPERATIONS,
            "List the latest operations",
        ),
        Route(
            "DELETE",
            f"{_API_PREFIX}/imports/{{id}}",
            _IMPORT,
            endpoints.imports.cancel,
            c.CANCEL_IMPORT,
            "Cancel an import",
        ),
        Route("GET", "/api/v1/events", _VIEW, endpoints.events.stream, c.EVENTS, "Follow what happens"),
        Route("GET", "/api/v1/metrics", _VIEW, endpoints.health.metrics, c.METRICS, "Read the metrics", head=True),
        Route(
            "GET",
            "/api/v1/directories",
            _VIEW,
            endpoints.directories.show,
            c.DIRECTORIES,
            "List directories",
            head=True,
        ),
        Route(
            "GET",
            "/api/v1/errors",
            _AUTHENTICATED,
            endpoints.health.errors,
            c.ERROR_TABLE,
            "Read what errors mean",
            head=True,
        ),
        Route("GET", "/api/v1/health", _PUBLIC, endpoints.health.health, c.HEALTH, "Ask whether it runs", head=True),
        Route(
            "GET",
            "/api/v1/openapi.json",
            _AUTHENTICATED,
            endpoints.document.show,
            c.OPENAPI_DOCUMENT,
            "Read this document",
            head=True,
        ),
        Route("GET", "/", _PUBLIC, endpoints.page.index, c.PAGE, "Open the page", head=True),
    )


def build_browser_routes(page: PageEndpoints, reference: ReferencePage) -> tuple[Route, ...]:
    """What browsers load besides, for everybody; no part of the document."""
    return (
        Route("GET", f"{_API_PREFIX}/page/{{file}}", _PUBLIC, page.file, contracts.PAGE, "Its files", head=True),
        Route(
            "GET", f"{_API_PREFIX}/docs", _PUBLIC, reference.page, contracts.PAGE, "Try the API in a browser", head=True
        ),
        *(
            Route(
                "GET",
                f"{_API_PREFIX}/docs/{name}",
                _PUBLIC,
                reference.make_file_handler(name),
                contracts.PAGE,
                "Its files",
                head=True,
            )
            for name in ASSET_TYPES
        ),
    )


class _PathTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A path with one placeholder in it."""

    before: str
    after: str
    methods: dict[str, Route]

    def match_id(self, path: str) -> str:
        """What stands for the placeholder; "" when the path is another one."""
        if not path.startswith(self.before) or not path.endswith(self.after):
            return ""
        id = path[len(self.before) : len(path) - len(self.after)]
        return "" if "/" in id else id


class Router:
    """Finds the route of a request, lets in who may, and answers with its handler.

    Paths are matched as they came: nothing is decoded or normalised before, except in a directory.
    """

    def __init__(
        self, table: tuple[Route, ...], accounts: Accounts, guards: RequestGuards, metrics: RequestMetrics, clock: Clock
    ) -> None:
        self._metrics = metrics
        self._accounts = accounts
        self._guards = guards
        self._clock = clock
        self._by_selector = {route.selector: route for route in table if route.selector}
        exact: dict[str, dict[str, Route]] = {}
        for route in table:
            if not route.selector:
                exact.setdefault(route.path, {}).update(_methods_of_route(route))
        self._by_path = {path: methods for path, methods in exact.items() if "{" not in path}
        self._templates = tuple(
            _PathTemplate(before=before, after=after, methods=methods)
            for path, methods in exact.items()
            if "{" in path
            for before, _, after in [re.split(r"[{}]", path)]
        )

    async def dispatch(self, context: RequestContext) -> web.StreamResponse:
        """The answer of the route that the call asks for.

        Raises:
            NotFoundError: there is no such path.
            MethodNotAllowedError: the path has no such method.
            InvalidParameterError: the query asks for two things at once, or for one where there is none to ask for;
                or the client expects what cannot be met.
            HostNotAllowedError, CrossSiteError, TooManyFailedLoginsError: what the gate says of who asks.
            HttpVersionNotSupportedError: the request is made in a version of HTTP that is not spoken here.
        """
        request, target = context.request, context.target
        version = request.get(REQUESTED_VERSION)
        if version is not None:
            raise HttpVersionNotSupportedError(f"{version.major}.{version.minor}")
        self._require_host(context)
        if request.headers.get("Expect", EXPECTATION).lower() != EXPECTATION:
            raise InvalidParameterError("Expect", f"only {EXPECTATION} can be met")
        if not target.is_below_base_path:
            raise NotFoundError(f"everything here lives below {target.base_path}/")
        if target.path == "/api" or target.path.startswith("/api/"):
            route, context.id = self._find_api_route(request.method, target)
            context.download_id = context.id if "{id}" in route.path else None
        else:
            route = self._find_directory_route(request.method, target)
        if route.access is not Access.PUBLIC:
            reject_cross_site(request.headers, context.client, target.authority)
            user = self._authenticate(context)
            context.user = user or ANONYMOUS
            if user is None:
                return unauthorized_response()
            if isinstance(route.access, Permission) and not user.has_permission(route.access):
                return permission_missing_response()
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise InvalidParameterError("Content-Encoding", "send the body as it is, without a content coding")
        if target.query.values:
            _check_query(route, target)
        if IDEMPOTENCY_FIELD not in route.contract.headers:
            # Of several routes of one path, the document knows but one operation: what that forbids, all forbid.
            read_key_field(request.headers)
        return await route.handler(context)

    def _require_host(self, context: RequestContext) -> None:
        request, client = context.request, context.client
        hosts = request.headers.getall("Host", ())
        # RFC 9112, section 3.2: one in every request of HTTP/1.1. No page in a browser reaches a Unix socket.
        if len(hosts) != 1 and not (not hosts and request.version < HttpVersion11):
            raise InvalidParameterError("Host", "expected one Host field")
        if client.address:
            for host in hosts:
                self._guards.hosts.require(host)
            # Whoever calls us by an absolute URL means the host in it, whatever the field says.
            if context.target.authority is not None:
                self._guards.hosts.require(context.target.authority)
        # Besides the Host field, never in its place: a proxy may pass on what a page wrote here.
        if client.host:
            self._guards.hosts.require(client.host)

    def _authenticate(self, context: RequestContext) -> User | None:
        """The user whose credentials the request has; whoever guesses them has to wait.

        Raises:
            TooManyFailedLoginsError: the address has to wait.
        """
        request = context.request
        credentials = read_credentials(request.headers)
        if not credentials:
            return None
        address, now = context.client.address, self._clock.monotonic()
        user = self._accounts.authenticate(request.headers)
        self._guards.throttle.require_not_throttled(address, None if user is None else user.id, now=now)
        if user is None:
            self._metrics.login_failed()
            self._guards.throttle.record_failure(address, hash(credentials), now=now)
        else:
            self._guards.throttle.record_success(address, user.id)
        return user

    def _find_api_route(self, method: str, target: Target) -> tuple[Route, str]:
        path = target.path
        methods = self._by_path.get(path)
        if methods is not None:
            return _select_method(methods, method), ""
        for template in self._templates:
            if id := template.match_id(path):
                return _select_method(template.methods, method), id
        if method == "GET" and "download" in target.query.selectors:
            # Meant for a directory, which refuses this name in its own words, however it is spelled.
            return self._find_directory_route(method, target), ""
        raise NotFoundError("nothing lives at this path; GET /api/v1/openapi.json lists every path")

    def _find_directory_route(self, method: str, target: Target) -> Route:
        if method not in {"GET", "HEAD"}:
            raise MethodNotAllowedError(method, ("GET", "HEAD"))
        selectors = target.query.selectors
        if not selectors and target.path == "/":
            return _select_method(self._by_path["/"], method)
        route = self._by_selector[selectors[0]] if selectors else None
        if route is None or (route.path == "/" and target.path.strip("/")):
            raise NotFoundError(
                "GET /{directory} takes ?download=<url> to start a download or ?downloads= to list active ones; "
                "GET / takes ?download_history= too"
            )
        if method == "HEAD" and not route.head:
            raise MethodNotAllowedError(method, ("GET",))
        return route


def create_api(
    *,
    manager: DownloadService,
    imports: ImportService,
    bus: EventBus,
    metrics: RequestMetrics,
    collect_gauges: Callable[[], Awaitable[GaugeSnapshot]],
    accounts: Accounts,
    guards: RequestGuards,
    clock: Clock,
    is_enabled: Callable[[], bool],
    can_use_directory: Callable[[str, str], bool],
    directories: Callable[[str, int], Awaitable[list[str]]],
    page: Mapping[str, Asset],
    proxies: TrustedProxies,
    base_path: str = "",
    reader: BodyReader | None = None,
) -> Api:
    """The whole API; serve it with `ApiRunner`.

    `collect_gauges` says what is so now, for the metrics; `is_enabled`, at each request, whether the daemon was launched to
    download at all; `can_use_directory`, whether the user of an id may start and change downloads in a directory. `directories`
    finds up to so many that begin with a prefix; `page` has the files of the page for people; `reader` reads bodies.
    """
    long_poll = LongPoll(manager)
    reader = reader or BodyReader()
    document = DocumentEndpoint()
    page_endpoints = PageEndpoints(page)
    table = build_routes(
        Endpoints(
            directory=DirectoryEndpoints(
                service=manager,
                long_poll=long_poll,
                clock=clock,
                is_enabled=is_enabled,
                can_use_directory=can_use_directory,
            ),
            downloads=DownloadEndpoints(
                service=manager, reader=reader, clock=clock, is_enabled=is_enabled, can_use_directory=can_use_directory
            ),
            history=HistoryEndpoints(service=manager),
            events=EventStream(service=manager, bus=bus),
            health=MonitoringEndpoints(metrics=metrics, collect_gauges=collect_gauges),
            imports=ImportEndpoints(
                service=imports,
                reader=reader,
                is_enabled=is_enabled,
                can_import=lambda user: can_use_directory(user, imports.directory),
            ),
            document=document,
            directories=DirectoryCompletionEndpoint(find=directories, can_use_directory=can_use_directory),
            page=page_endpoints,
        )
    )
    document.build(table, base_path)

    def close_long_lived() -> None:
        long_poll.release_all()
        bus.close()

    browser_routes = build_browser_routes(page_endpoints, ReferencePage(document.document))
    router = Router((*table, *browser_routes), accounts, guards, metrics, clock)
    middleware = RequestMiddleware(router.dispatch, metrics=metrics, clock=clock, proxies=proxies, base_path=base_path)
    return Api(middleware.handle, close_long_lived)


def _methods_of_route(route: Route) -> dict[str, Route]:
    return {route.method: route, "HEAD": route} if route.head else {route.method: route}


def _select_method(methods: dict[str, Route], method: str) -> Route:
    route = methods.get(method)
    if route is None:
        raise MethodNotAllowedError(method, tuple(sorted(methods)))
    return route


def _check_query(route: Route, target: Target) -> None:
    if route.contract.query is None:
        name = redact_parameter_name(next(iter(target.query.values)))
        raise InvalidParameterError(name, "unknown parameter; there are none here")
    if route.selector and len(selectors := target.query.selectors) > 1:
        raise InvalidParameterError(
            selectors[1], f"cannot stand browser_routes {selectors[0]}; use one of {', '.join(SELECTORS)} at a time"
        )
