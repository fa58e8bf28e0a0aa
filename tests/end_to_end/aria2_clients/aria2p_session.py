"""A session of aria2p's library. Arguments: RPC port, secret, URL of a folder with files."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import aria2p

port, secret, folder = sys.argv[1:4]
api = aria2p.API(aria2p.Client(host="http://127.0.0.1", port=int(port), secret=secret))


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(seen, [(one.gid, one.status, one.error_message) for one in api.get_downloads()])
        time.sleep(0.05)
    return result


version: Any = api.client.get_version()
seen: dict[str, Any] = {"methods": len(api.client.list_methods()), "version": version["version"]}

small = api.add_uris([f"{folder}small.bin"], options={"out": "by-aria2p.bin"})
wait_for(lambda: small.live.is_complete)
seen["small"] = [small.status, small.total_length, small.completed_length, small.name, small.error_code]
seen["path"] = str(small.files[0].path)

slow = api.add_uris([f"{folder}slow.bin"], options={"max-download-limit": "200K"})
wait_for(lambda: slow.live.is_active and slow.completed_length > 0)
seen["limit"] = slow.options.max_download_limit
slow.options.max_download_limit = 100 * 1024
seen["changed_limit"] = api.get_download(slow.gid).options.max_download_limit
seen["paused"] = bool(slow.pause())
wait_for(lambda: slow.live.is_paused)
seen["resumed"] = bool(slow.resume())
wait_for(lambda: slow.live.is_active)

waiting = [api.add_uris([f"{folder}slow.bin"], options={"pause": "true", "out": f"w{n}.bin"}) for n in range(3)]
wait_for(lambda: all(one.live.is_paused for one in waiting))
seen["moved"] = [waiting[2].move_to_top(), waiting[0].move_to_bottom(), waiting[1].move_up(5)]
listed = [one["gid"] for one in api.client.tell_waiting(0, 1000)]
seen["order"] = [[one.gid for one in waiting].index(gid) for gid in listed]

gone = api.add_uris([f"{folder}gone.bin"])
wait_for(lambda: gone.live.has_failed)
seen["failed"] = [gone.status, gone.error_code]
seen["retried"] = len(api.retry_downloads([gone]))

seen["removed"] = [bool(one.remove()) for one in (slow.live, *(each.live for each in waiting))]
wait_for(lambda: not [one for one in api.get_downloads() if one.is_active or one.is_waiting or one.is_paused])
seen["stats"] = [api.get_stats().num_active, api.get_stats().num_waiting]
seen["purged"] = api.purge()
seen["left"] = len(api.get_downloads())
seen["global"] = api.set_global_options({"max-concurrent-downloads": "7"})
seen["global_value"] = api.get_global_options().max_concurrent_downloads
try:
    api.get_download("0123456789abcdef")
except aria2p.ClientException as error:
    seen["unknown"] = [error.code, error.message]
print(json.dumps(seen))
