"""Quotas of users: their limits in the queue."""

from collections.abc import Mapping

from msgspec.structs import replace

from downloadd.manager.dispatcher import Queue
from downloadd.user_quota import UserQuota


class UserQuotas:
    """Applies the quotas of users."""

    def __init__(self, queue: Queue, quotas: Mapping[str, UserQuota]) -> None:
        """Take the queue, and the quotas by the ids of their users."""
        self._queue = queue
        self.configure(quotas)

    def configure(self, quotas: Mapping[str, UserQuota]) -> None:
        """Replace the quotas at once; running downloads continue."""
        runs = {user: quota.max_concurrent for user, quota in quotas.items() if quota.max_concurrent is not None}
        limits = self._queue.limits
        if runs != limits.runs_by_user:
            self._queue.change_limits(replace(limits, runs_by_user=runs))
