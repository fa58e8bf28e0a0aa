"""Protection against guessing of tokens, which never locks out a right one.

Clients ask once or twice a second with the secret that they have, right or wrong. So an address with many wrong tokens
is not refused as in the REST API: its calls are answered later, and few of them are examined at the same time.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec

from downloadd.clock import Clock
from downloadd.errors import TooManyFailedLoginsError
from downloadd.fronts.aria2.wire.envelope import invalid_request
from downloadd.fronts.rest.request_guards import LoginThrottle
from downloadd.users import User

DELAY_SECONDS: Final = 1.0
"""Seconds by which the answer to a wrong token is delayed, as in aria2."""
MAX_TOKENS: Final = 8
"""Different tokens in one message; a list of guesses must not count as one attempt."""
MAX_THROTTLED_CHECKS: Final = 10
"""Tokens of addresses above the limit that are examined at the same time, each for the delay."""


class LoginMetrics(Protocol):
    """Counter of wrong tokens."""

    def login_failed(self) -> None:
        """Count wrong credentials."""
        ...


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the check of the tokens of a message."""

    address: str = ""
    """The address that sent them."""
    users: dict[str, User] = {}
    """The users, by their tokens."""
    has_wrong_token: bool = False
    is_throttled: bool = False
    """True if the address has sent too many wrong tokens, and the user has not logged in there before."""


class TokenGuard:
    """Examination of the tokens of each message.

    Examine the tokens, wait for the turn of a right one, perform the calls, and delay the answer to a wrong one.
    """

    def __init__(
        self,
        *,
        find_user: Callable[[str], User | None],
        throttle: LoginThrottle,
        metrics: LoginMetrics,
        clock: Clock,
        delay: float = DELAY_SECONDS,
    ) -> None:
        """Take the parts.

        Args:
            find_user: returns the user of a token.
            throttle: counts the wrong tokens of the RPC interface alone; those of the REST API have another one, so
                that a client with a wrong secret does not lock out its address there.
            metrics: counts wrong tokens.
            clock: the clock.
            delay: seconds by which the answer to a wrong token is delayed.
        """
        self.find_user = find_user
        self._throttle = throttle
        self._metrics = metrics
        self._clock = clock
        self._delay = delay
        self._checks = asyncio.Semaphore(MAX_THROTTLED_CHECKS)

    def examine(self, tokens: Iterable[str], address: str) -> Admission:
        """Return whose tokens these are, and count the wrong ones.

        Raises:
            RpcError: there are too many of them.
        """
        distinct = frozenset(tokens)
        if len(distinct) > MAX_TOKENS:
            raise invalid_request()
        users = {token: user for token in distinct if (user := self.find_user(token)) is not None}
        throttled = [self._record(token, users.get(token), address) for token in distinct]
        return Admission(
            address=address,
            users=users,
            has_wrong_token=len(users) < len(distinct),
            is_throttled=any(throttled),
        )

    async def wait_for_turn(self, admission: Admission) -> None:
        """Wait before a right token of an address above the limit is used; it takes as long as the answer to others."""
        if admission.is_throttled and admission.users:
            await self._wait_throttled()
            # Not earlier: the next use of the token is not delayed, which would tell at once that it is right.
            for user in admission.users.values():
                self._throttle.record_success(admission.address, user.id)

    async def delay_answer(self, admission: Admission) -> None:
        """Wait before the answer if there was a wrong token; right ones of the same message have been used by then."""
        if admission.is_throttled and not admission.users:
            await self._wait_throttled()
        elif admission.has_wrong_token:
            await asyncio.sleep(self._delay)

    async def _wait_throttled(self) -> None:
        async with self._checks:
            await asyncio.sleep(self._delay)

    def _record(self, token: str, user: User | None, address: str) -> bool:
        """Record a login or its failure; return True if the address is above the limit for this user."""
        now = self._clock.monotonic()
        try:
            self._throttle.require_not_throttled(address, None if user is None else user.id, now=now)
            is_throttled = False
        except TooManyFailedLoginsError:
            is_throttled = True
        if user is None:
            self._metrics.login_failed()
            self._throttle.record_failure(address, hash(token), now=now)
        elif not is_throttled:
            self._throttle.record_success(address, user.id)
        return is_throttled
