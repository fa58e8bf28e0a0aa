"""Wrong tokens: they are counted and delayed, and a right one always works."""

import asyncio

import pytest
from support.fake_manager import FakeMetrics
from support.virtual_time import in_virtual_time

from downloadd.fronts.aria2.access.token_guard import DELAY_SECONDS, MAX_THROTTLED_CHECKS, MAX_TOKENS, TokenGuard
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.rest.request_guards import LoginThrottle
from downloadd.users import User

ALICE = User(id="alice", permissions=frozenset())
ADDRESS = "192.0.2.1"


class LoopClock:
    """The clock of the event loop."""

    def wall(self) -> float:
        return asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class Examination:
    """A guard, and the seconds that messages with some tokens take."""

    def __init__(self, per_minute: int = 5) -> None:
        self.metrics = FakeMetrics()
        self.guard = TokenGuard(
            find_user={"right": ALICE}.get,
            throttle=LoginThrottle(per_minute),
            metrics=self.metrics,
            clock=LoopClock(),
        )

    async def seconds(self, *tokens: str, address: str = ADDRESS) -> tuple[float, float]:
        """Return the seconds until the calls are performed and until the answer is sent."""
        now = asyncio.get_running_loop().time
        began = now()
        admission = self.guard.examine(tokens, address)
        await self.guard.wait_for_turn(admission)
        performed = now()
        assert admission.users == ({"right": ALICE} if "right" in tokens else {})
        await self.guard.delay_answer(admission)
        return round(performed - began, 1), round(now() - began, 1)


@in_virtual_time
async def test_a_wrong_token_delays_the_answer_and_a_right_or_missing_one_does_not() -> None:
    examination = Examination()
    assert await examination.seconds("wrong") == (0, DELAY_SECONDS)
    assert await examination.seconds("right") == (0, 0)
    assert await examination.seconds() == (0, 0)
    assert examination.metrics.failed_logins == 1


@in_virtual_time
async def test_a_right_token_beside_a_wrong_one_is_used_at_once() -> None:
    assert await Examination().seconds("wrong", "right") == (0, DELAY_SECONDS)


@in_virtual_time
async def test_a_client_that_asks_with_one_wrong_secret_all_the_time_locks_out_no_one() -> None:
    examination = Examination()
    for _ in range(40):
        await examination.seconds("wrong")
    assert await examination.seconds("right") == (0, 0)


@in_virtual_time
async def test_after_many_wrong_tokens_a_right_one_waits_as_long_as_a_wrong_one_and_then_works() -> None:
    examination = Examination()
    for number in range(5):
        await examination.seconds(f"wrong {number}")
    assert await examination.seconds("wrong") == (0, DELAY_SECONDS)
    assert await examination.seconds("right") == (DELAY_SECONDS, DELAY_SECONDS)
    assert await examination.seconds("right") == (0, 0), "the user is known at the address now"
    assert await examination.seconds("wrong", address="192.0.2.2") == (0, DELAY_SECONDS)


@in_virtual_time
async def test_a_right_token_tells_nothing_before_its_wait_is_over() -> None:
    examination = Examination()
    for number in range(5):
        examination.guard.examine([f"wrong {number}"], ADDRESS)
    abandoned = examination.guard.examine(["right"], ADDRESS)
    assert abandoned.is_throttled
    assert await examination.seconds("right") == (DELAY_SECONDS, DELAY_SECONDS)


@in_virtual_time
async def test_few_tokens_of_an_address_above_the_limit_are_examined_at_the_same_time() -> None:
    examination = Examination()
    for number in range(5):
        examination.guard.examine([f"wrong {number}"], ADDRESS)
    waits = await asyncio.gather(*(examination.seconds(str(number)) for number in range(3 * MAX_THROTTLED_CHECKS)))
    assert sorted(seconds for _, seconds in waits) == [
        seconds * DELAY_SECONDS for seconds in (1, 2, 3) for _ in range(MAX_THROTTLED_CHECKS)
    ]


@in_virtual_time
async def test_without_a_limit_a_wrong_token_is_delayed_all_the_same() -> None:
    examination = Examination(0)
    for number in range(60):
        assert await examination.seconds(str(number)) == (0, DELAY_SECONDS)
    assert await examination.seconds("right") == (0, 0)


@in_virtual_time
async def test_a_list_of_guesses_in_one_message_is_refused() -> None:
    examination = Examination()
    guesses = [str(number) for number in range(MAX_TOKENS)]
    examination.guard.examine([*guesses, *guesses], ADDRESS)
    with pytest.raises(RpcError, match="Invalid Request"):
        examination.guard.examine([*guesses, "right"], ADDRESS)
