"""Every method, path, permission and handler, one line each; and the API that is made from them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import HttpVersion11, web

from downloadd.api import contracts
from downloadd.api.answers import permission_missing, unauthorized
from downloadd.api.auth import Accounts, Permission, User, credentials_shown
from downloadd.api.bodies import shown_name
from downloadd.api.body_reader import BodyReader
from downloadd.api.call import ASKED_VERSION, NOBODY, Call
from downloadd.api.directories import DirectoriesEndpoint
from downloadd.api.directory import DirectoryEndpoints
from downloadd.api.downloads import DownloadEndpoints
from downloadd.api.engine import Engine, RequestMetrics
from downloadd.api.event_stream import EventStream
from downloadd.api.gate import Gate, refuse_other_sites
from downloadd.api.health import HealthEndpoints
from downloadd.api.history import HistoryEndpoints
from downloadd.api.idempotency import FIELD, read_key
from downloadd.api.imports import ImportEndpoints, ImportEngine
from downloadd.api.middleware import Edge
from downloadd.api.openapi import DocumentEndpoint
from downloadd.api.page import PageEndpoints
from downloadd.api.patience import Patience
from downloadd.api.reference import FILES, ReferencePage
from downloadd.api.route import Access, Route
from downloadd.api.server import Api
from downloadd.api.target import SELECTORS, Target
from downloadd.clock import Clock
from downloadd.errors import HttpVersionNotSupportedError, InvalidParameterError, MethodNotAllowedError, NotFoundError
from downloadd.events import EventBus
from downloadd.metrics import Moment
from downloadd.policy.proxies import TrustedProxies
from downloadd.web.dashboard import Asset

EXPECTATION: Final = "100-continue"
"""The one that RFC 9110, section 10.1.1 defines."""


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the routes lead to."""

    directory: DirectoryEndpoints
    downloads: DownloadEndpoints
    history: HistoryEndpoints
    events: EventStream
    health: HealthEndpoints
    imports: ImportEndpoints
    document: DocumentEndpoint
    directories: DirectoriesEndpoint
    page: PageEndpoints


_DO: Final = Permission.DOWNLOAD
_SEE: Final = Permission.VIEW_DOWNLOADS
_IMPORT: Final = Permission.RUN_IMPORT
_SEE_IMPORTS: Final = Permission.VIEW_IMPORT_OPERATIONS
_USERS: Final = Access.USERS
_ANY: Final = Access.EVERYBODY
_HERE: Final = "/{directory}"
_ALL: Final = "/api/v1/downloads"
_ONE: Final = "/api/v1/downloads/{id}"
_API: Final = "/api/v1"


def routes(to: Endpoints) -> tuple[Route, ...]:
    """The table."""
    c = contracts
    return (
        Route("GET", _HERE, _DO, to.directory.start, c.START, "Start a download", "download"),
        Route("GET", _HERE, _SEE, to.directory.listing, c.LISTING_HERE, "List one directory", "downloads", True),
        Route("GET", "/", _SEE, to.history.page, c.HISTORY, "Read the history", "download_history", True),
        Route("GET", _ALL, _SEE, to.downloads.listing, c.LISTING, "List all active downloads", head=True),
        Route("POST", _ALL, _DO, to.downloads.batch, c.BATCH, "Start many downloads at once"),
        Route("GET", _ONE, _SEE, to.downloads.show, c.ONE, "Look at one download", head=True),
        Route("DELETE", _ONE, _DO, to.downloads.cancel, c.CANCEL, "Cancel a download"),
        Route("PATCH", _ONE, _DO, to.downloads.amend, c.AMEND, "Change priority, speed limit or URL"),
        Route("POST", f"{_ONE}/pause", _DO, to.downloads.pause, c.PAUSE, "Pause a download"),
        Route("POST", f"{_ONE}/resume", _DO, to.downloads.resume, c.RESUME, "Resume a paused download"),
        Route("POST", f"{_ONE}/retry", _DO, to.downloads.retry, c.RETRY, "Try an ended download again"),
        Route("POST", f"{_API}/uploadImportFile", _IMPORT, to.imports.upload, c.UPLOAD, "Upload an import file"),
        Route("POST", f"{_API}/imports", _IMPORT, to.imports.upload_raw, c.UPLOAD_RAW, "Upload a big import file"),
        Route("POST", f"{_API}/downloadPublicImportFile", _IMPORT, to.imports.fetch, c.FETCH_FILE, "Fetch an import"),
        Route("GET", f"{_API}/getImportFileData", _IMPORT, to.imports.file_data, c.FILE_DATA, "Look into an import"),
        Route("GET", f"{_API}/getImportProgress", _IMPORT, to.imports.progress, c.PROGRESS, "Ask how far it is"),
        Route("POST", f"{_API}/startImport", _IMPORT, to.imports.start, c.START_IMPORT, "Choose what is imported"),
        Route("POST", f"{_API}/downloadPendingFiles", _IMPORT, to.imports.pending_files, c.PENDING, "Fetch files"),
        Route("POST", f"{_API}/downloadPendingAvatars", _IMPORT, to.imports.pending_avatars, c.PENDING, "Get avatars"),
        Route(
            "GET",
            f"{_API}/getCurrentImportOperation",
            _IMPORT,
            to.imports.current,
            c.CURRENT_OPERATION,
            "Look at the newest operation",
        ),
        Route(
            "GET",
            f"{_API}/getLatestImportOperations",
            _SEE_IMPORTS,
            to.imports.latest,
            c.LATEST_OPERATIONS,
            "List the latest operations",
        ),
        Route("DELETE", f"{_API}/imports/{{id}}", _IMPORT, to.imports.cancel, c.CANCEL_IMPORT, "Cancel an import"),
        Route("GET", "/api/v1/events", _SEE, to.events.stream, c.EVENTS, "Follow what happens"),
        Route("GET", "/api/v1/metrics", _SEE, to.health.metrics, c.METRICS, "Read the metrics", head=True),
        Route("GET", "/api/v1/directories", _SEE, to.directories.show, c.DIRECTORIES, "List directories", head=True),
        Route("GET", "/api/v1/errors", _USERS, to.health.errors, c.ERROR_TABLE, "Read what errors mean", head=True),
        Route("GET", "/api/v1/health", _ANY, to.health.health, c.HEALTH, "Ask whether it runs", head=True),
        Route("GET", "/api/v1/openapi.json", _USERS, to.document.show, c.DOCUMENT, "Read this document", head=True),
        Route("GET", "/", _ANY, to.page.start, c.PAGE, "Open the page", head=True),
    )


def files(page: PageEndpoints, reference: ReferencePage) -> tuple[Route, ...]:
    """What browsers load besides, for everybody; no part of the document."""
    return (
        Route("GET", f"{_API}/page/{{file}}", _ANY, page.file, contracts.PAGE, "Its files", head=True),
        Route("GET", f"{_API}/docs", _ANY, reference.page, contracts.PAGE, "Try the API in a browser", head=True),
        *(
            Route("GET", f"{_API}/docs/{name}", _ANY, reference.file(name), contracts.PAGE, "Its files", head=True)
            for name in FILES
        ),
    )


class _Template(msgspec.Struct, frozen=True, kw_only=True):
    """A path with one placeholder in it."""

    before: str
    after: str
    methods: dict[str, Route]

    def id_in(self, path: str) -> str:
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
        self, table: tuple[Route, ...], accounts: Accounts, gate: Gate, metrics: RequestMetrics, clock: Clock
    ) -> None:
        self._metrics = metrics
        self._accounts = accounts
        self._gate = gate
        self._clock = clock
        self._selected = {route.selector: route for route in table if route.selector}
        exact: dict[str, dict[str, Route]] = {}
        for route in table:
            if not route.selector:
                exact.setdefault(route.path, {}).update(_methods(route))
        self._exact = {path: methods for path, methods in exact.items() if "{" not in path}
        self._templates = tuple(
            _Template(before=before, after=after, methods=methods)
            for path, methods in exact.items()
            if "{" in path
            for before, _, after in [re.split(r"[{}]", path)]
        )

    async def answer(self, call: Call) -> web.StreamResponse:
        """The answer of the route that the call asks for.

        Raises:
            NotFoundError: there is no such path.
            MethodNotAllowedError: the path has no such method.
            InvalidParameterError: the query asks for two things at once, or for one where there is none to ask for;
                or the client expects what cannot be met.
            HostNotAllowedError, CrossSiteError, TooManyFailedLoginsError: what the gate says of who asks.
            HttpVersionNotSupportedError: the request is made in a version of HTTP that is not spoken here.
        """
        request, target = call.request, call.target
        version = request.get(ASKED_VERSION)
        if version is not None:
            raise HttpVersionNotSupportedError(f"{version.major}.{version.minor}")
        self._require_host(call)
        if request.headers.get("Expect", EXPECTATION).lower() != EXPECTATION:
            raise InvalidParameterError("Expect", f"only {EXPECTATION} can be met")
        if not target.inside:
            raise NotFoundError(f"everything here lives below {target.base_path}/")
        if target.path == "/api" or target.path.startswith("/api/"):
            route, call.id = self._in_api(request.method, target)
            call.download_id = call.id if "{id}" in route.path else None
        else:
            route = self._of_directory(request.method, target)
        if route.access is not Access.EVERYBODY:
            refuse_other_sites(request.headers, call.client, target.authority)
            user = self._identify(call)
            call.user = user or NOBODY
            if user is None:
                return unauthorized()
            if isinstance(route.access, Permission) and not user.may(route.access):
                return permission_missing()
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise InvalidParameterError("Content-Encoding", "send the body as it is, without a content coding")
        if target.query.values:
            _check_query(route, target)
        if FIELD not in route.contract.headers:
            # Of several routes of one path, the document knows but one operation: what that forbids, all forbid.
            read_key(request.headers)
        return await route.answerer(call)

    def _require_host(self, call: Call) -> None:
        request, client = call.request, call.client
        hosts = request.headers.getall("Host", ())
        # RFC 9112, section 3.2: one in every request of HTTP/1.1. No page in a browser reaches a Unix socket.
        if len(hosts) != 1 and not (not hosts and request.version < HttpVersion11):
            raise InvalidParameterError("Host", "expected one Host field")
        if client.address:
            for host in hosts:
                self._gate.names.require(host)
            # Whoever calls us by an absolute URL means the host in it, whatever the field says.
            if call.target.authority is not None:
                self._gate.names.require(call.target.authority)
        # Besides the Host field, never in its place: a proxy may pass on what a page wrote here.
        if client.host:
            self._gate.names.require(client.host)

    def _identify(self, call: Call) -> User | None:
        """The user whose credentials the request has; whoever guesses them has to wait.

        Raises:
            TooManyFailedLoginsError: the address has to wait.
        """
        request = call.request
        shown = credentials_shown(request.headers)
        if not shown:
            return None
        address, now = call.client.address, self._clock.monotonic()
        user = self._accounts.identify(request.headers)
        self._gate.logins.require_patience(address, None if user is None else user.id, now=now)
        if user is None:
            self._metrics.login_failed()
            self._gate.logins.failed(address, hash(shown), now=now)
        else:
            self._gate.logins.succeeded(address, user.id)
        return user

    def _in_api(self, method: str, target: Target) -> tuple[Route, str]:
        path = target.path
        methods = self._exact.get(path)
        if methods is not None:
            return _of_method(methods, method), ""
        for template in self._templates:
            if id := template.id_in(path):
                return _of_method(template.methods, method), id
        if method == "GET" and "download" in target.query.selectors:
            # Meant for a directory, which refuses this name in its own words, however it is spelled.
            return self._of_directory(method, target), ""
        raise NotFoundError("nothing lives at this path; GET /api/v1/openapi.json lists every path")

    def _of_directory(self, method: str, target: Target) -> Route:
        if method not in {"GET", "HEAD"}:
            raise MethodNotAllowedError(method, ("GET", "HEAD"))
        selectors = target.query.selectors
        if not selectors and target.path == "/":
            return _of_method(self._exact["/"], method)
        route = self._selected[selectors[0]] if selectors else None
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
    manager: Engine,
    imports: ImportEngine,
    bus: EventBus,
    metrics: RequestMetrics,
    observe: Callable[[], Awaitable[Moment]],
    accounts: Accounts,
    gate: Gate,
    clock: Clock,
    allow: Callable[[], bool],
    may_use: Callable[[str, str], bool],
    directories: Callable[[str, int], Awaitable[list[str]]],
    page: Mapping[str, Asset],
    proxies: TrustedProxies,
    base_path: str = "",
    reader: BodyReader | None = None,
) -> Api:
    """The whole API; serve it with `ApiRunner`.

    `observe` says what is so now, for the metrics; `allow`, at each request, whether the daemon was launched to
    download at all; `may_use`, whether the user of an id may start and change downloads in a directory. `directories`
    finds up to so many that begin with a prefix; `page` has the files of the page for people; `reader` reads bodies.
    """
    patience = Patience(manager)
    reader = reader or BodyReader()
    document = DocumentEndpoint()
    people = PageEndpoints(page)
    table = routes(
        Endpoints(
            directory=DirectoryEndpoints(engine=manager, patience=patience, clock=clock, allow=allow, may_use=may_use),
            downloads=DownloadEndpoints(engine=manager, reader=reader, clock=clock, allow=allow, may_use=may_use),
            history=HistoryEndpoints(engine=manager),
            events=EventStream(engine=manager, bus=bus),
            health=HealthEndpoints(metrics=metrics, observe=observe),
            imports=ImportEndpoints(
                engine=imports, reader=reader, allow=allow, may_import=lambda user: may_use(user, imports.directory)
            ),
            document=document,
            directories=DirectoriesEndpoint(find=directories, may_use=may_use),
            page=people,
        )
    )
    document.describe(table, base_path)

    def let_go() -> None:
        patience.end()
        bus.close()

    beside = files(people, ReferencePage(document.document))
    router = Router((*table, *beside), accounts, gate, metrics, clock)
    edge = Edge(router.answer, metrics=metrics, clock=clock, proxies=proxies, base_path=base_path)
    return Api(edge.answer, let_go)


def _methods(route: Route) -> dict[str, Route]:
    return {route.method: route, "HEAD": route} if route.head else {route.method: route}


def _of_method(methods: dict[str, Route], method: str) -> Route:
    route = methods.get(method)
    if route is None:
        raise MethodNotAllowedError(method, tuple(sorted(methods)))
    return route


def _check_query(route: Route, target: Target) -> None:
    if route.contract.query is None:
        name = shown_name(next(iter(target.query.values)))
        raise InvalidParameterError(name, "unknown parameter; there are none here")
    if route.selector and len(selectors := target.query.selectors) > 1:
        raise InvalidParameterError(
            selectors[1], f"cannot stand beside {selectors[0]}; use one of {', '.join(SELECTORS)} at a time"
        )
