"""Delivery to a webhook: a signed POST request to the administrator's URL."""

from collections.abc import Callable
from ssl import SSLError
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from downloadd import __version__
from downloadd.clock import Clock
from downloadd.config import HookConfig, decode_secret
from downloadd.delivery import Delivery
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.signature import signed_fields
from downloadd.policy.resolver import SystemResolver
from downloadd.policy.tls_contexts import TlsContexts
from downloadd.tls import describe_tls_error
from downloadd.transfer.fields import parse_retry_after

GONE: Final = 410
"""Status by which a receiver refuses further attempts (Standard Webhooks specification)."""


class WebhookSender:
    """Sender of messages. Open it with `async with`.

    The administrator chose the URL, so private addresses are allowed. Redirects are not followed, because their target
    is the choice of the receiver.
    """

    def __init__(self, clock: Clock, tls: Callable[[], TlsContexts]) -> None:
        """`tls` returns the current authorities."""
        self._clock = clock
        self._tls = tls
        # In the few threads of the event loop's own resolver, a slow name server would delay other lookups.
        self._resolver = SystemResolver()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # A reused connection that the receiver has closed would look like a failed delivery.
            connector=aiohttp.TCPConnector(limit=0, force_close=True, resolver=self._resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"downloadd/{__version__}", "Content-Type": "application/json"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def post(self, hook: HookConfig, delivery: Delivery) -> Delivered | DeliveryFailed:
        """Post a message; every status other than 2xx is a failure. The content of the response is not read."""
        key = decode_secret(hook.secret)
        assert key is not None  # noqa: S101 - the configuration was checked
        assert self._session is not None  # noqa: S101 - the sender is open
        fields = signed_fields(key, event_id=delivery.event_id, timestamp=int(self._clock.wall()), body=delivery.body)
        try:
            async with self._session.post(
                hook.url,
                data=delivery.body,
                headers=fields,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=hook.timeout),
                ssl=self._tls().context_for((URL(hook.url).raw_host or "").rstrip(".")),
            ) as response:
                status, retry_after_field = response.status, response.headers.get("Retry-After")
        except TimeoutError:
            return DeliveryFailed(reason=f"no answer within {hook.timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.__cause__, SSLError):
                return DeliveryFailed(reason=f"cannot connect: {describe_tls_error(error.__cause__)}")
            return DeliveryFailed(reason=f"cannot connect: {error.os_error.strerror or type(error.os_error).__name__}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The message of the exception may contain the URL.
            return DeliveryFailed(reason=f"the connection broke: {type(error).__name__}")
        if 200 <= status < 300:
            return Delivered(answer=str(status))
        reason = f"the answer was {status}"
        if 300 <= status < 400:
            reason += ", and redirects are not followed"
        retry_after = parse_retry_after(retry_after_field, now=self._clock.wall())
        return DeliveryFailed(reason=reason, retry_after=retry_after, permanent=status == GONE)
