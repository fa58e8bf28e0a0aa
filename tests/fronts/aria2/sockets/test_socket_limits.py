"""Relations between the limits of WebSockets and other limits of the daemon."""

import msgspec
import pytest

from downloadd.fronts.aria2.sockets.socket_limits import SocketLimits
from downloadd.fronts.rest.schemas import MAX_BODY_BYTES
from downloadd.fronts.rest.server import IDLE_TIMEOUT_SECONDS
from downloadd.servers import SHUTDOWN_TIMEOUT_SECONDS

LIMITS = SocketLimits()


def test_clients_without_a_token_cannot_fill_the_memory() -> None:
    assert LIMITS.max_anonymous * MAX_BODY_BYTES <= 512 << 20


def test_open_sockets_do_not_delay_the_end_of_the_daemon() -> None:
    assert LIMITS.finish_seconds + LIMITS.close_seconds < SHUTDOWN_TIMEOUT_SECONDS


def test_a_ping_comes_before_an_idle_connection_is_closed() -> None:
    assert LIMITS.ping_seconds < IDLE_TIMEOUT_SECONDS


def test_a_client_that_reads_at_the_least_rate_gets_all_that_may_wait_for_it() -> None:
    assert LIMITS.max_unread_bytes / LIMITS.min_write_rate > LIMITS.max_write_seconds


def test_limits_are_given_by_name_and_do_not_change() -> None:
    changed = msgspec.structs.replace(LIMITS, max_calls=1)
    assert (changed.max_calls, changed.ping_seconds) == (1, LIMITS.ping_seconds)
    with pytest.raises(AttributeError, match="immutable"):
        changed.max_calls = 2  # type: ignore[misc]
