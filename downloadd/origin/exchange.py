"""One request with its redirects and challenges: the next request to send, and the decision about its response.

Pure: no I/O; the cookie jar has the time. The client sends `next_request` until `must_continue` returns False.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from multidict import MultiMapping

from downloadd.errors import RemoteError
from downloadd.origin.authentication import Authenticator, ProtectionSpaces, describe_refusal, select_digest
from downloadd.origin.challenges import parse_challenges
from downloadd.origin.cookies import CookieJar
from downloadd.origin.request_headers import build_request_fields, select_user, states_authorization
from downloadd.policy.origin_proxies import OriginProxies, Proxy
from downloadd.policy.policy import Policy
from downloadd.policy.redirects import method_after_redirect, resolve_redirect
from downloadd.policy.url import AllowedUrl
from downloadd.request_fields import Method, Pairs, RequestFields

REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses whose Location is followed."""


class OriginRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it is sent."""

    method: Method
    url: AllowedUrl
    fields: list[tuple[str, str]]
    """Header fields, without those that frame the request."""
    body: bytes | None
    proxy: Proxy | None
    """The proxy to connect through; None for a direct connection."""


class Exchange:
    """State of one request of a download, up to its final response.

    Attributes:
        target: URL of the next request, or of the final response.
        hops: number of redirects so far.
    """

    def __init__(
        self,
        first: AllowedUrl,
        *,
        policy: Policy,
        proxies: OriginProxies,
        spaces: ProtectionSpaces,
        by_host: Mapping[str, RequestFields],
        cookies: CookieJar,
        given: RequestFields | None = None,
        range_fields: Pairs = (),
    ) -> None:
        """Make an exchange that begins with a request for `first`; see `build_request_fields` for the others."""
        self.target = first
        self.hops = 0
        self._first = first
        self._policy = policy
        self._proxies = proxies
        self._spaces = spaces
        self._by_host = by_host
        self._cookies = cookies
        self._given = given
        self._range_fields = tuple(range_fields)
        self._method = Method.GET if given is None else given.method
        self._authenticator: Authenticator | None = None
        self._authorization: str | None = None
        self._authenticate()

    def next_request(self) -> OriginRequest:
        """Return the request to send.

        Raises:
            NetworkError: the proxy that the download names is not configured any more.
        """
        body = None if self._given is None or self._method is Method.GET else self._given.body
        return OriginRequest(
            method=self._method,
            url=self.target,
            fields=build_request_fields(
                self.target,
                self._first,
                method=self._method,
                range_fields=self._range_fields,
                given=self._given,
                by_host=self._by_host,
                cookies=self._cookies.select(self.target),
                authorization=self._authorization,
            ),
            body=None if body is None else body.encode(),
            proxy=self._proxies.select_proxy(self.target, None if self._given is None else self._given.proxy),
        )

    def must_continue(self, status: int, fields: MultiMapping[str]) -> bool:
        """Return True if another request follows, because the response is a redirect or a challenge.

        Args:
            status: status of the response.
            fields: its header fields; names are in any case.

        Raises:
            TooManyRedirectsError, InvalidUrlError, DomainBlockedError: the policy forbids the redirect.
            RemoteError: the redirect is malformed, or the origin refuses the credentials.
        """
        self._cookies.store(self.target, fields.getall("Set-Cookie", ()))
        if self._authenticator is not None:
            self._authenticator.note_info(fields.getall("Authentication-Info", ()))
        if status in REDIRECT_STATUSES:
            self._follow(status, fields.get("Location"))
            return True
        if status != 401:
            return False
        challenges = parse_challenges(fields.getall("WWW-Authenticate", ()))
        digest = select_digest(challenges)
        is_authorized = self._authorization is not None or states_authorization(
            self.target, self._first, given=self._given, by_host=self._by_host
        )
        self._authorization = None
        if self._authenticator is not None and digest is not None:
            self._authorization = self._authenticator.answer(digest, self._method, self.target.request_target)
        if self._authorization is None:
            if self._authenticator is not None and digest is not None and digest.is_stale:
                explanation = "the nonces of its Digest authentication expire before they are used"
                raise RemoteError(401, explanation, transient=True)
            raise RemoteError(401, describe_refusal(challenges, is_authorized=is_authorized))
        return True

    def _follow(self, status: int, location: str | None) -> None:
        self.hops += 1
        self.target = resolve_redirect(self.target, location, self.hops, self._policy, status=status)
        self._method = method_after_redirect(self._method, status, self._first, self.target)
        self._authenticate()

    def _authenticate(self) -> None:
        """Prepare the authorization of the next request."""
        user = select_user(self.target, self._first, given=self._given, by_host=self._by_host)
        self._authenticator = None if user is None else Authenticator(self._spaces.get(self.target.origin, user))
        self._authorization = None
        if self._authenticator is not None:
            self._authorization = self._authenticator.authorize(self._method, self.target.request_target)
