"""`GET /api/v1/quota`, in the process."""

import json

from support.served_api import ServedApi


async def test_a_user_without_a_quota_has_no_use_of_one(api: ServedApi) -> None:
    status, _, body = await api.raw("GET", "/api/v1/quota")
    use = json.loads(body)
    assert (status, use.pop("user")) == (200, "alice")
    assert use == {"max_concurrent": None, "bytes_per_day": None, "stored_bytes": None}
