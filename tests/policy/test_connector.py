import errno
import socket
import ssl
from collections.abc import Iterator
from itertools import chain, repeat

import aiohttp
import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult
from support.allowed_urls import allowed_url
from support.recording_origin import RecordingOrigin, open_recording_origin

from downloadd.errors import DomainBlockedError
from downloadd.policy.addresses import AddressRules
from downloadd.policy.connector import FilteringResolver, ForbiddenAddressError, build_connector, find_blocked_error
from downloadd.policy.resolver import SystemResolver
from downloadd.policy.url import to_yarl

LOOPBACK = AddressRules(["127.0.0.0/8"])
PUBLIC = AddressRules()


class ScriptedResolver(AbstractResolver):
    """Answers the first lookup with the first list of addresses, and so on; the last one for good."""

    def __init__(self, *answers: list[str] | OSError) -> None:
        self._answers: Iterator[list[str] | OSError] = chain(answers, repeat(answers[-1]))
        self.lookups = 0
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.lookups += 1
        answer = next(self._answers)
        if isinstance(answer, OSError):
            raise answer
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in answer
        ]

    async def close(self) -> None:
        self.closed = True


class RecordingSocket:
    """Stand-in for `socket.socket` in the module under test, which counts the sockets it makes."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, family: int, type: int, proto: int) -> socket.socket:
        self.made += 1
        return socket.socket(family, type, proto)


async def get(text: str, connector: aiohttp.BaseConnector, *, tls: ssl.SSLContext | bool = True) -> int:
    async with (
        aiohttp.ClientSession(connector=connector, connector_owner=False) as client,
        client.get(to_yarl(allowed_url(text)), timeout=aiohttp.ClientTimeout(total=10), ssl=tls) as response,
    ):
        return response.status


async def refusal(text: str, connector: aiohttp.BaseConnector) -> DomainBlockedError | None:
    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        await get(text, connector)
    return find_blocked_error(caught.value)


async def test_an_allowed_answer_is_connected_to(origin: RecordingOrigin) -> None:
    async with build_connector(lambda: LOOPBACK, resolver=ScriptedResolver(["127.0.0.1"])) as connector:
        assert await get(f"http://files.example:{origin.port}/", connector) == 200


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1%lo", "10.0.0.1", "nonsense"]
)
async def test_a_name_that_resolves_to_a_forbidden_address_is_blocked(address: str, origin: RecordingOrigin) -> None:
    async with build_connector(lambda: PUBLIC, resolver=ScriptedResolver([address])) as connector:
        blocked = await refusal(f"http://rebind.example:{origin.port}/", connector)
    assert blocked is not None
    assert "rebind.example" in blocked.detail
    assert address not in blocked.detail
    assert origin.peers == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "0.0.0.0", "[::]"]
)
async def test_an_address_in_the_url_never_asks_the_resolver_and_is_blocked(host: str, origin: RecordingOrigin) -> None:
    resolver = ScriptedResolver(["8.8.8.8"])
    async with build_connector(lambda: PUBLIC, resolver=resolver) as connector:
        assert await refusal(f"http://{host}:{origin.port}/", connector) is not None
    assert origin.peers == []
    assert resolver.lookups == 0


async def test_no_socket_is_made_for_a_forbidden_address(
    monkeypatch: pytest.MonkeyPatch, origin: RecordingOrigin
) -> None:
    spy = RecordingSocket()
    monkeypatch.setattr("downloadd.policy.connector.socket.socket", spy)
    async with build_connector(lambda: PUBLIC, resolver=SystemResolver()) as connector:
        assert await refusal(f"http://127.0.0.1:{origin.port}/", connector) is not None
    assert spy.made == 0


@pytest.mark.parametrize(
    "addresses",
    [["::1", "127.0.0.1"], ["127.0.0.1", "::1"], ["10.0.0.1", "::1", "127.0.0.1", "fe80::1"]],
    ids=["forbidden first", "forbidden last", "among many"],
)
async def test_of_mixed_answers_only_the_allowed_address_is_connected_to(
    addresses: list[str], origin: RecordingOrigin
) -> None:
    for _ in range(3):
        async with build_connector(lambda: LOOPBACK, resolver=ScriptedResolver(addresses)) as connector:
            assert await get(f"http://mixed.example:{origin.port}/", connector) == 200
    assert set(origin.peers) == {"127.0.0.1"}


async def test_an_answer_that_changes_between_check_and_connect_is_not_connected_to(origin: RecordingOrigin) -> None:
    resolver = ScriptedResolver(["127.0.0.1"], ["::1"])
    async with build_connector(lambda: LOOPBACK, resolver=resolver) as connector:
        judged = FilteringResolver(lambda: LOOPBACK, resolver)
        assert [result["host"] for result in await judged.resolve("rebind.example", 80)] == ["127.0.0.1"]
        assert await refusal(f"http://rebind.example:{origin.port}/", connector) is not None
    assert origin.peers == []


async def test_an_answer_that_turned_forbidden_after_it_was_cached_is_stopped_at_the_socket(
    origin: RecordingOrigin,
) -> None:
    class UncheckedConnector(FilteringResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            return await self._resolver.resolve(host, port, family)

    async with build_connector(
        lambda: PUBLIC, resolver=ScriptedResolver(["127.0.0.1", "::1", "127.0.0.2"])
    ) as connector:
        # What aiohttp keeps of an earlier answer reaches the socket factory without passing the resolver.
        connector._resolver = UncheckedConnector(lambda: PUBLIC, connector._resolver._resolver)  # type: ignore[attr-defined]
        assert await refusal(f"http://cached.example:{origin.port}/", connector) is not None
    assert origin.peers == []


async def test_answers_are_cached_for_a_while(origin: RecordingOrigin) -> None:
    resolver = ScriptedResolver(["127.0.0.1"])
    connector = build_connector(lambda: LOOPBACK, resolver=resolver)
    async with connector:
        # Not reused, so that each request asks for the address anew.
        connector._force_close = True
        for _ in range(3):
            await get(f"http://files.example:{origin.port}/", connector)
    assert len(origin.peers) == 3
    assert resolver.lookups == 1


async def test_the_connector_limits_no_connections() -> None:
    async with build_connector(lambda: PUBLIC, resolver=SystemResolver()) as connector:
        assert connector.limit == 0
        assert connector.limit_per_host == 0


async def test_a_refusal_is_not_cached(origin: RecordingOrigin) -> None:
    resolver = ScriptedResolver(["10.0.0.1"], ["127.0.0.1"])
    async with build_connector(lambda: LOOPBACK, resolver=resolver) as connector:
        assert await refusal(f"http://files.example:{origin.port}/", connector) is not None
        assert await get(f"http://files.example:{origin.port}/", connector) == 200


async def test_the_system_resolver_is_the_default(origin: RecordingOrigin) -> None:
    async with build_connector(lambda: LOOPBACK, resolver=SystemResolver()) as connector:
        assert await get(f"http://localhost:{origin.port}/", connector) == 200
    async with build_connector(lambda: PUBLIC, resolver=SystemResolver()) as connector:
        assert await refusal(f"http://localhost:{origin.port}/", connector) is not None
    assert set(origin.peers) == {"127.0.0.1"}


async def test_a_refused_certificate_is_not_a_policy_error_and_a_connection_belongs_to_its_context() -> None:
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("files.example").configure_cert(server_side)
    trusting, untrusting = ssl.create_default_context(), ssl.create_default_context()
    authority.configure_trust(trusting)
    async with (
        open_recording_origin(tls=server_side) as origin,
        build_connector(lambda: LOOPBACK, resolver=ScriptedResolver(["127.0.0.1"])) as connector,
    ):
        url = f"https://files.example:{origin.port}/"
        for _ in range(2):
            assert await get(url, connector, tls=trusting) == 200
        assert len(origin.peers) == 1
        for text, context in ((url.replace("files", "other"), trusting), (url, untrusting)):
            with pytest.raises(aiohttp.ClientConnectorCertificateError) as caught:
                await get(text, connector, tls=context)
            assert find_blocked_error(caught.value) is None


async def test_a_failed_lookup_is_not_a_policy_error() -> None:
    resolver = ScriptedResolver(socket.gaierror(socket.EAI_NONAME, "unknown"))
    with pytest.raises(socket.gaierror):
        await FilteringResolver(lambda: LOOPBACK, resolver).resolve("missing.example", 80)
    async with build_connector(lambda: LOOPBACK, resolver=resolver) as connector:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await get("http://missing.example/", connector)
    assert find_blocked_error(caught.value) is None


async def test_a_name_without_addresses_is_a_failed_lookup() -> None:
    with pytest.raises(OSError, match="no address") as caught:
        await FilteringResolver(lambda: LOOPBACK, ScriptedResolver([])).resolve("empty.example", 80)
    assert find_blocked_error(caught.value) is None


async def test_a_refused_connection_is_not_a_policy_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with build_connector(lambda: LOOPBACK, resolver=SystemResolver()) as connector:
        assert await refusal(f"http://127.0.0.1:{port}/", connector) is None


async def test_closing_the_resolver_closes_the_one_that_answers() -> None:
    resolver = ScriptedResolver([])
    await FilteringResolver(lambda: PUBLIC, resolver).close()
    assert resolver.closed


BLOCKED = DomainBlockedError("not allowed")


def chained(
    error: BaseException, *, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    error.__cause__ = cause
    error.__context__ = context
    return error


def in_a_circle() -> BaseException:
    error = ValueError()
    return chained(error, context=chained(OSError(), context=error))


@pytest.mark.parametrize(
    ("error", "found"),
    [
        pytest.param(ForbiddenAddressError(BLOCKED), BLOCKED, id="itself"),
        pytest.param(BLOCKED, BLOCKED, id="the judgement"),
        pytest.param(chained(ValueError(), cause=ForbiddenAddressError(BLOCKED)), BLOCKED, id="cause"),
        pytest.param(chained(ValueError(), context=ForbiddenAddressError(BLOCKED)), BLOCKED, id="context"),
        pytest.param(
            chained(OSError(), cause=chained(OSError(), cause=ForbiddenAddressError(BLOCKED))), BLOCKED, id="deep"
        ),
        pytest.param(ExceptionGroup("several", [OSError(), ForbiddenAddressError(BLOCKED)]), BLOCKED, id="group"),
        pytest.param(OSError(errno.ECONNREFUSED, "refused"), None, id="another error"),
        pytest.param(in_a_circle(), None, id="circle"),
    ],
)
def test_the_policy_error_is_found_in_the_chain_of_causes(
    error: BaseException, found: DomainBlockedError | None
) -> None:
    assert find_blocked_error(error) is found
