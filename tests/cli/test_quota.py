"""The use of quotas as `downloadctl quota` shows it."""

from downloadd.cli.quota import describe
from downloadd.client import DayUse, QuotaUse, UserQuotaUse


def test_each_quota_has_its_use() -> None:
    use = UserQuotaUse(
        user="bob",
        max_concurrent=QuotaUse(used=1, limit=2),
        bytes_per_day=DayUse(used=1536, limit=3072, ends=1_700_000_000),
        stored_bytes=QuotaUse(used=0, limit=1 << 30),
    )
    rows = dict(describe(use))
    assert (rows["downloads at once"], rows["stored"]) == ("1 of 2", "0 B of 1.00 GiB")
    assert rows["received today"].startswith("1.50 KiB of 3.00 KiB, until 2023-11-1")
    assert describe(UserQuotaUse(user="bob")) == []
