"""Connecting to an origin: lookup, happy eyeballs (RFC 8305) over the allowed addresses, and the TLS handshake."""

import asyncio
import errno
import socket
from collections.abc import Sequence
from ssl import SSLContext
from typing import Final

from aiohappyeyeballs import start_connection

from downloadd.errors import DomainBlockedError, NetworkError, NetworkErrorKind
from downloadd.origin.addresses import AddressBook, SocketAddress
from downloadd.origin.connection_errors import map_connect_error, map_handshake_error
from downloadd.origin.connection_options import ConnectionOptions
from downloadd.origin.proxy import Target, connect_by_socks, describe_proxy, open_http_tunnel, proxy_errors
from downloadd.origin.relay import Relays
from downloadd.origin.stream import Stream
from downloadd.policy.origin_proxies import Proxy
from downloadd.policy.url import AllowedUrl

ATTEMPT_DELAY_SECONDS: Final = 0.25
"""Seconds after which the next address is tried beside the first (RFC 8305, section 5)."""
MAX_TARGETS: Final = 4
"""Addresses of an origin to which a proxy is asked to connect, one after the other."""


class Dialer:
    """Opens connections to origins."""

    def __init__(self, addresses: AddressBook) -> None:
        self._addresses = addresses
        self._relays = Relays()

    async def close(self) -> None:
        """End what the connections need in the background."""
        await self._relays.close()

    async def connect(self, url: AllowedUrl, options: ConnectionOptions, *, timeout: float | None) -> Stream:
        """Connect to the origin of a URL, within `timeout` seconds; None for no limit.

        Raises:
            DomainBlockedError: the policy forbids all addresses of the host, or of the proxy.
            NetworkError: the connection failed.
        """
        try:
            async with asyncio.timeout(timeout):
                if options.proxy is None:
                    try:
                        stream = await self._connect(url.host, url.port, options)
                    except OSError as error:
                        raise map_connect_error(error) from error
                else:
                    stream = await self._connect_by_proxy(url, options.proxy, options)
                if options.tls is not None:
                    await _start_tls(stream, options.tls, url.host)
                return stream
        except TimeoutError:
            raise NetworkError(
                f"no connection to the origin within {timeout:g} s", kind=NetworkErrorKind.TIMEOUT
            ) from None

    async def _connect_by_proxy(self, url: AllowedUrl, proxy: Proxy, options: ConnectionOptions) -> Stream:
        hosts = [url.host]
        if not proxy.is_resolver:
            addresses = await self._addresses.allowed_addresses(url.host, url.port, family=options.family)
            hosts = [str(address[4][0]) for address in addresses[:MAX_TARGETS]]
        while True:
            target = Target(host=hosts.pop(0), port=url.port)
            try:
                return await self._connect_to_target(target, proxy, options)
            except NetworkError as error:
                if error.permanent or not hosts:
                    raise

    async def _connect_to_target(self, target: Target, proxy: Proxy, options: ConnectionOptions) -> Stream:
        if not options.is_http_proxy:
            found = await self._proxy_addresses(proxy)
            return await connect_by_socks(proxy, str(found[0][4][0]), target)
        await self._proxy_addresses(proxy)
        with proxy_errors(proxy):
            stream = await self._connect(proxy.url.host, proxy.url.port, options)
        try:
            if options.proxy_tls is not None:
                await _start_tls(stream, options.proxy_tls, proxy.url.host)
            if options.tls is None:
                return stream
            await open_http_tunnel(stream, proxy, target)
            return self._relays.start(stream) if stream.is_tls else stream
        except BaseException:
            stream.close()
            raise

    async def _proxy_addresses(self, proxy: Proxy) -> list[SocketAddress]:
        try:
            return await self._addresses.allowed_addresses(proxy.url.host, proxy.url.port)
        except DomainBlockedError as error:
            raise DomainBlockedError(
                f"{describe_proxy(proxy)} is at an address that is not allowed; add it to downloads.allowed_networks"
            ) from error
        except NetworkError as error:
            raise NetworkError(f"the name of {describe_proxy(proxy)} could not be resolved", kind=error.kind) from error

    async def _connect(self, host: str, port: int, options: ConnectionOptions) -> Stream:
        """Connect a socket.

        Raises:
            OSError: no allowed address could be connected to.
        """
        addresses = await self._addresses.allowed_addresses(host, port, family=options.family)
        sock = await _connect_first(addresses, options.bind_address)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Stream(sock, peer=str(sock.getpeername()[0]))
        except OSError:
            sock.close()
            raise


async def _start_tls(stream: Stream, context: SSLContext, host: str) -> None:
    try:
        await stream.start_tls(context, host)
    except BaseException as error:
        stream.close()
        if isinstance(error, OSError):
            raise map_handshake_error(error) from error
        raise


async def _connect_first(addresses: Sequence[SocketAddress], bind_address: str) -> socket.socket:
    family = addresses[0][0]
    local = [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (bind_address, 0))] if bind_address else None
    try:
        return await start_connection(
            list(addresses), local_addr_infos=local, happy_eyeballs_delay=ATTEMPT_DELAY_SECONDS, interleave=1
        )
    except RuntimeError as error:
        # uvloop raises it for some addresses.
        raise OSError(errno.EADDRNOTAVAIL, "the address cannot be connected to") from error
