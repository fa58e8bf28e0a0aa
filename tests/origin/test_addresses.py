"""Addresses of names: which are looked up, kept and allowed."""

import asyncio
import gc
import socket

import pytest
from support.clocks import ManualClock
from support.scripted_resolver import ScriptedResolver

from downloadd.errors import DomainBlockedError, NetworkError, NetworkErrorKind
from downloadd.origin.addresses import DNS_TTL_SECONDS, MAX_CACHED_NAMES, AddressBook
from downloadd.policy.addresses import AddressRules
from downloadd.policy.resolver import Address

LOOPBACK = AddressRules(["127.0.0.0/8"])
PUBLIC = AddressRules()


def make_book(
    resolver: ScriptedResolver, rules: AddressRules = PUBLIC, clock: ManualClock | None = None
) -> AddressBook:
    return AddressBook(resolver, lambda: rules, clock or ManualClock())


async def addresses(book: AddressBook, host: str, **options: socket.AddressFamily) -> list[str]:
    return [found[4][0] for found in await book.allowed_addresses(host, 80, **options)]


async def test_addresses_are_in_the_form_of_getaddrinfo() -> None:
    book = make_book(ScriptedResolver(["8.8.8.8", "2001:4860:4860::8888"]))
    assert await book.allowed_addresses("a.example", 81) == [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 81)),
        (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("2001:4860:4860::8888", 81, 0, 0)),
    ]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1%lo", "10.0.0.1", "nonsense"]
)
async def test_a_name_that_resolves_to_a_forbidden_address_is_blocked_without_showing_it(address: str) -> None:
    with pytest.raises(DomainBlockedError, match=r"the host rebind\.example resolves to") as caught:
        await make_book(ScriptedResolver([address])).allowed_addresses("rebind.example", 80)
    assert address not in caught.value.detail


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0", "::"]
)
async def test_an_address_in_the_url_is_judged_without_a_lookup(host: str) -> None:
    resolver = ScriptedResolver(["8.8.8.8"])
    with pytest.raises(DomainBlockedError):
        await make_book(resolver).allowed_addresses(host, 80)
    assert resolver.lookups == 0


async def test_an_allowed_address_in_the_url_is_used() -> None:
    book = make_book(ScriptedResolver([]), LOOPBACK)
    assert await addresses(book, "127.0.0.1") == ["127.0.0.1"]


async def test_only_the_allowed_ones_of_several_addresses_are_used() -> None:
    book = make_book(ScriptedResolver(["10.0.0.1", "::1", "127.0.0.1", "fe80::1"]), LOOPBACK)
    assert await addresses(book, "mixed.example") == ["127.0.0.1"]


async def test_addresses_of_another_family_are_left_out() -> None:
    book = make_book(ScriptedResolver(["8.8.8.8", "2001:4860:4860::8888"]))
    assert await addresses(book, "a.example", family=socket.AF_INET6) == ["2001:4860:4860::8888"]


async def test_an_answer_is_kept_for_a_while() -> None:
    clock, resolver = ManualClock(), ScriptedResolver(["8.8.8.8"], ["8.8.4.4"])
    book = make_book(resolver, clock=clock)
    assert [await addresses(book, "a.example") for _ in range(2)] == [["8.8.8.8"]] * 2
    clock.now += DNS_TTL_SECONDS
    assert await addresses(book, "a.example") == ["8.8.4.4"]
    assert resolver.lookups == 2


async def test_a_kept_answer_is_judged_by_the_present_rules() -> None:
    rules = [LOOPBACK]
    book = AddressBook(ScriptedResolver(["127.0.0.1"]), lambda: rules[0], ManualClock())
    assert await addresses(book, "a.example") == ["127.0.0.1"]
    rules[0] = PUBLIC
    with pytest.raises(DomainBlockedError):
        await book.allowed_addresses("a.example", 80)


async def test_neither_refusals_nor_failures_are_kept() -> None:
    resolver = ScriptedResolver(["10.0.0.1"], socket.gaierror(socket.EAI_AGAIN, "again"), [], ["8.8.8.8"])
    book = make_book(resolver)
    for error in (DomainBlockedError, NetworkError, NetworkError):
        with pytest.raises(error):
            await book.allowed_addresses("a.example", 80)
    assert await addresses(book, "a.example") == ["8.8.8.8"]


@pytest.mark.parametrize("answer", [socket.gaierror(socket.EAI_NONAME, "unknown"), OSError("x"), []])
async def test_a_failed_lookup_is_an_error_of_the_name(answer: list[str] | OSError) -> None:
    with pytest.raises(NetworkError, match="name could not be resolved") as caught:
        await make_book(ScriptedResolver(answer)).allowed_addresses("missing.example", 80)
    assert caught.value.kind is NetworkErrorKind.NAME


class SlowResolver(ScriptedResolver):
    """Answers when `may_answer` is set."""

    def __init__(self, answer: list[str] | OSError | None = None) -> None:
        super().__init__(["8.8.8.8"] if answer is None else answer)
        self.may_answer = asyncio.Event()

    async def look_up(self, host: str) -> list[Address]:
        await self.may_answer.wait()
        return await super().look_up(host)


async def test_one_lookup_serves_all_that_wait_for_it_also_if_the_first_is_cancelled() -> None:
    resolver = SlowResolver()
    book = make_book(resolver)
    first, *others = [asyncio.create_task(addresses(book, "a.example")) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait((first,))
    resolver.may_answer.set()
    assert await asyncio.gather(*others) == [["8.8.8.8"]] * 4
    assert resolver.lookups == 1


async def test_a_lookup_that_fails_after_all_were_cancelled_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    resolver = SlowResolver(socket.gaierror(socket.EAI_NONAME, "unknown"))
    waiting = asyncio.create_task(addresses(make_book(resolver), "a.example"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    resolver.may_answer.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert caplog.records == []


async def test_closing_ends_lookups_and_the_resolver() -> None:
    resolver = SlowResolver()
    book = make_book(resolver)
    waiting = asyncio.create_task(addresses(book, "a.example"))
    await asyncio.sleep(0)
    await book.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert resolver.closed


async def test_kept_answers_are_bounded() -> None:
    resolver = ScriptedResolver(["8.8.8.8"])
    book = make_book(resolver)
    for number in range(MAX_CACHED_NAMES + 1):
        await book.allowed_addresses(f"{number}.example", 80)
    await book.allowed_addresses(f"{MAX_CACHED_NAMES}.example", 80)
    assert resolver.lookups == MAX_CACHED_NAMES + 1
    await book.allowed_addresses("0.example", 80)
    assert resolver.lookups == MAX_CACHED_NAMES + 2
