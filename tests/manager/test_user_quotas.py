"""Quotas of users in the queue."""

from msgspec.structs import replace
from support.clocks import ManualClock
from support.dispatchers import make_dispatcher

from downloadd.manager.limits import Limits
from downloadd.manager.user_quotas import UserQuotas
from downloadd.user_quota import UserQuota

LIMITS = Limits(max_concurrent=9, max_per_host=9)


async def test_the_limits_of_users_follow_their_configuration_and_change_no_others() -> None:
    queue = make_dispatcher(LIMITS, ManualClock()).queue
    quotas = UserQuotas(queue, {"alice": UserQuota(max_concurrent=2), "bob": UserQuota()})
    assert queue.limits == replace(LIMITS, runs_by_user={"alice": 2})
    queue.change_limits(replace(queue.limits, max_concurrent=3))
    quotas.configure({"bob": UserQuota(max_concurrent=1)})
    assert queue.limits == replace(LIMITS, max_concurrent=3, runs_by_user={"bob": 1})
