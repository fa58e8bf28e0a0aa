"""`storage`, in this process."""

import json

from cli.conftest import Command
from support.served_api import ServedApi

from downloadd.cli.storage import QuotaEntry, parse_space


async def test_a_change_of_the_storage_is_accepted(api: ServedApi, command: Command) -> None:
    api.storage.problem = "the storage root is gone"
    result = await command("storage", "accept")
    assert result.output == "The storage root is used from now on (ext4, device 8:1).\n"
    assert api.storage.problem is None


def test_space_is_read_from_the_metrics() -> None:
    metrics = (
        "# TYPE downloadd_storage_free_bytes gauge\ndownloadd_storage_free_bytes 1e+09\n"
        "downloadd_storage_size_bytes 4096\ndownloadd_storage_reserved_bytes 7\n"
        'downloadd_quota_used_bytes{directory="a \\"b\\""} 5\ndownloadd_quota_limit_bytes{directory="a \\"b\\""} 9\n'
    )
    entry = parse_space(metrics, storage="ok")
    assert (entry.free, entry.size, entry.reserved) == (1_000_000_000, 4096, 7)
    assert entry.quotas == [QuotaEntry(directory='a "b"', used=5, limit=9)]


async def test_the_space_is_shown(api: ServedApi, command: Command) -> None:
    output = (await command("storage")).output
    assert output.splitlines()[0] == "state       ok"
    assert "(storage.min_free)" in output
    shown = json.loads((await command("storage", "show", "--json")).output)
    assert shown["storage"] == json.loads((await command("storage", "--json")).output)["storage"] == "ok"
