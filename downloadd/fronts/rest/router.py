"""Routing: finds the route of a request, checks who asks, and calls the handler."""

import re
from typing import Final

import msgspec
from aiohttp import web

from downloadd.clock import Clock
from downloadd.errors import InvalidParameterError, MethodNotAllowedError, NotFoundError
from downloadd.fronts.cross_origin import is_preflight, preflight_fields
from downloadd.fronts.rest.auth import Accounts, read_credentials
from downloadd.fronts.rest.file_links import FileLinks
from downloadd.fronts.rest.idempotency import IDEMPOTENCY_FIELD, read_key_field
from downloadd.fronts.rest.query_decoding import redact_parameter_name
from downloadd.fronts.rest.request_context import ANONYMOUS, RequestContext
from downloadd.fronts.rest.request_guards import RequestGuards, reject_cross_site
from downloadd.fronts.rest.request_head import require_valid_head
from downloadd.fronts.rest.request_metrics import RequestMetrics
from downloadd.fronts.rest.responses import COMMON_FIELDS, unauthorized_response
from downloadd.fronts.rest.route import Access, Route
from downloadd.fronts.rest.target import SELECTORS, Target
from downloadd.users import Permission, User

_LISTING: Final = "files"
"""Selector of the listing that a directory without a query has too."""
_LISTING_PARAMETERS: Final = frozenset({"limit", "cursor"})

_SELECTOR_ADVICE: Final = (
    "GET /{directory} takes ?download=<url> to start a download or ?downloads= to list active ones, and without a "
    "query lists its files for users with read-files; GET / takes ?download_history= and ?files= too"
)

_METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE")
"""Methods that pages of allowed origins may use."""


class _PathTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A path with one placeholder."""

    before: str
    after: str
    methods: dict[str, Route]

    def match_id(self, path: str) -> str:
        """Return the value of the placeholder; "" when the path does not match."""
        if not path.startswith(self.before) or not path.endswith(self.after):
            return ""
        id = path[len(self.before) : len(path) - len(self.after)]
        return "" if "/" in id else id


class Router:
    """Dispatches requests to the handlers of their routes.

    Paths are matched as they were received, neither decoded nor normalised; only directories are decoded.
    """

    def __init__(
        self,
        table: tuple[Route, ...],
        accounts: Accounts,
        guards: RequestGuards,
        metrics: RequestMetrics,
        clock: Clock,
        *,
        links: FileLinks,
    ) -> None:
        self._links = links
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
        """Return the response of the handler.

        Raises:
            NotFoundError: the path does not exist.
            MethodNotAllowedError: the path does not have the method.
            InvalidParameterError: the query has two selectors, or the route takes no query; or `Host`, `Expect` or
                `Content-Encoding` are wrong.
            HostNotAllowedError, CrossSiteError, TooManyFailedLoginsError: a guard refuses the request.
            PermissionMissingError: the user does not have the permission of the route.
            HttpVersionNotSupportedError: the request has another major version of HTTP.
        """
        request, target = context.request, context.target
        require_valid_head(context, self._guards.hosts)
        if not target.is_below_base_path:
            raise NotFoundError(f"all paths of this server begin with {target.base_path}/")
        origins = self._guards.origins
        if origins:
            context.response_fields = origins.response_fields(request.headers)
            if is_preflight(request.method, request.headers):
                origins.require(request.headers)
                fields = [*COMMON_FIELDS, *preflight_fields(request.headers, _METHODS).items()]
                return web.Response(status=204, headers=fields)
        if target.path == "/api" or target.path.startswith("/api/"):
            route, context.id = self._find_api_route(request.method, target)
            is_of_download = "{id}" in route.path and not (
                route.is_of_import or route.is_of_schedule or route.is_of_user
            )
            context.download_id = context.id if is_of_download else None
        else:
            route = self._find_directory_route(request.method, target)
        if route.access is not Access.PUBLIC:
            if not origins.has_sent(request.headers):
                reject_cross_site(request.headers, context.client, target.authority)
            user = self._authenticate(context, takes_ticket=route.takes_ticket)
            context.user = user or ANONYMOUS
            if user is None:
                return unauthorized_response()
            # The service checks it too; here it is checked before the query and the body are read.
            if isinstance(route.access, Permission):
                if route.selector and not target.query.selectors and not user.has_permission(route.access):
                    # The request may be one that lacks its selector.
                    raise NotFoundError(_SELECTOR_ADVICE)
                user.require_permission(route.access)
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise InvalidParameterError("Content-Encoding", "send the body as it is, without a content coding")
        if target.query.values:
            _check_query(route, target)
        if IDEMPOTENCY_FIELD not in route.contract.headers:
            # The OpenAPI document has one operation for all routes of a path, so all of them refuse a malformed key.
            read_key_field(request.headers)
        return await route.handler(context)

    def _authenticate(self, context: RequestContext, *, takes_ticket: bool) -> User | None:
        """Return the user of the credentials, or of a ticket without them; None when they are missing or wrong.

        Raises:
            TooManyFailedLoginsError: the address has sent too many wrong credentials.
        """
        request = context.request
        credentials = read_credentials(request.headers)
        ticket = context.query.values.get("ticket", "") if takes_ticket and not credentials else ""
        if not credentials and not ticket:
            return None
        address, now = context.client.address, self._clock.monotonic()
        if ticket:
            credentials = (ticket,)
            user = self._links.find_user(ticket, context.id, now=self._clock.wall())
        else:
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
            # Treated as a directory, so that the response says that the directory may not have this name.
            return self._find_directory_route(method, target), ""
        raise NotFoundError("this path does not exist; GET /api/v1/openapi.json lists all paths")

    def _find_directory_route(self, method: str, target: Target) -> Route:
        if method not in {"GET", "HEAD"}:
            if target.path == "/":
                return _select_method(self._by_path["/"], method)
            raise MethodNotAllowedError(method, ("GET", "HEAD"))
        selectors = target.query.selectors
        if not selectors and target.path == "/":
            return _select_method(self._by_path["/"], method)
        if not selectors and target.query.values.keys() <= _LISTING_PARAMETERS:
            selectors = (_LISTING,)
        route = self._by_selector[selectors[0]] if selectors else None
        if route is None or (route.path == "/" and target.path.strip("/")):
            raise NotFoundError(_SELECTOR_ADVICE)
        if method == "HEAD" and not route.head:
            raise MethodNotAllowedError(method, ("GET",))
        return route


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
        raise InvalidParameterError(name, "unknown parameter; this path takes none")
    if route.selector and len(selectors := target.query.selectors) > 1:
        raise InvalidParameterError(
            selectors[1], f"cannot be combined with {selectors[0]}; use one of {', '.join(SELECTORS)} at a time"
        )
