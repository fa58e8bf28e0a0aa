"""Settings of `[[directories]]`: quotas, permitted users, owners and modes."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DEFAULT_CONFIG, USER, DaemonProcess
from support.origin.content import expected_sha256
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse
from support.waiting import wait_until

from downloadd.config import ConfigError
from downloadd.daemon.configuration import read_config
from downloadd.storage import owners

OTHER = "other-user"
OTHER_TOKEN = "Yu-Z6eKzIIz7MCCRGeHi29bYkXZCJ4SxFC0JAasqm93"
OTHERS = f"""
[[users]]
id = "{OTHER}"
token_hash = "sha256:{hashlib.sha256(OTHER_TOKEN.encode()).hexdigest()}"
"""
AS_OTHER = {"Authorization": f"Bearer {OTHER_TOKEN}"}
MISSING = "User does not have the permissions required for this action [error-unauthorized]"

TABLES = f"""
[[directories]]
path = "small"
quota = 100_000

[[directories]]
path = "small/own"
users = ["{USER}"]
conflict = "skip"
mode = "0640"

[[directories]]
path = "grown"
quota = "1 GiB"

[[directories]]
path = "closed"
quota = 0
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with DaemonProcess(tmp_path, config=DEFAULT_CONFIG + OTHERS + TABLES) as daemon:
        yield daemon
    assert "Traceback" not in daemon.log.read_text()


def held(daemon: DaemonProcess, directory: str) -> int:
    """Return the bytes of all files below a directory, including part files."""
    return sum(path.stat().st_size for path in (daemon.root / directory).rglob("*") if path.is_file())


async def full(
    daemon: DaemonProcess, directory: str, url: str | list[str], named: str = "small", **parameters: Any
) -> None:
    status, answer = await daemon.fetch(directory, url, **parameters)
    assert (status, answer["error"]) == (507, "INSUFFICIENT_STORAGE"), answer
    detail = (await daemon.get_download(answer["download_id"]))["detail"]
    assert f"the directory {named} has" in detail
    assert "quota" in detail


async def test_a_quota_applies_to_every_kind_of_transfer(daemon: DaemonProcess, origin: Origin) -> None:
    ways: dict[str, ScriptedResponse] = {
        "length": ScriptedResponse(size=60_000, etag='"v"'),
        "chunked": ScriptedResponse(size=60_000, framing=Framing.CHUNKED),
        "close": ScriptedResponse(size=60_000, framing=Framing.CLOSE),
    }
    for name, answer in ways.items():
        origin.script(f"/{name}", answer)
    assert (await daemon.fetch("small/a", origin.url("/length")))[0] == 201
    for name in ways:
        for parameters in ({}, {"segments": "4"}, {"checksum": f"sha-256={expected_sha256(0, 60_000)}"}):
            await full(daemon, "small", origin.url(f"/{name}"), **parameters)
            assert held(daemon, "small") == 60_000
    await full(daemon, "small", [origin.url("/length"), origin.url("/chunked")])
    await wait_until(lambda: daemon.part_files() == [])
    # Other directories are not limited, and a refused download uses no quota.
    assert (await daemon.fetch("elsewhere", origin.url("/length")))[0] == 201
    origin.script("/fits", ScriptedResponse(size=40_000, framing=Framing.CHUNKED))
    assert (await daemon.fetch("small/b/c", origin.url("/fits")))[0] == 201
    assert held(daemon, "small") == 100_000
    origin.script("/one", ScriptedResponse(size=1))
    await full(daemon, "small", origin.url("/one"))
    await full(daemon, "closed/x", origin.url("/one"), named="closed")
    origin.script("/none", ScriptedResponse(size=0))
    assert (await daemon.fetch("small", origin.url("/none")))[0] == 201


@pytest.mark.parametrize("paused", [False, True])
async def test_what_is_cancelled_frees_its_quota(daemon: DaemonProcess, origin: Origin, paused: bool) -> None:
    origin.script("/stalls", ScriptedResponse(size=90_000, framing=Framing.CHUNKED, stall_after=80_000))
    origin.script("/f", ScriptedResponse(size=90_000))
    id = (await daemon.start_download("small", origin.url("/stalls")))["download_id"]
    await wait_until(lambda: held(daemon, "small") == 80_000)
    await full(daemon, "small", origin.url("/f"))
    if paused:
        await daemon.control(id, "pause")
        await full(daemon, "small", origin.url("/f"))
    await daemon.control(id, "cancel")
    assert (await daemon.fetch("small", origin.url("/f")))[0] == 201


async def test_of_many_concurrent_downloads_as_many_complete_as_fit(daemon: DaemonProcess, origin: Origin) -> None:
    for number in range(20):
        framing = Framing.CHUNKED if number % 2 else Framing.LENGTH
        origin.script(f"/{number}", ScriptedResponse(size=24_000, framing=framing))
    outcomes = await asyncio.gather(*(daemon.fetch("small", origin.url(f"/{number}")) for number in range(20)))
    errors = [answer["error"] for _, answer in outcomes]
    assert set(errors) == {None, "INSUFFICIENT_STORAGE"}
    # Downloads without a length may stop each other below the quota.
    assert 1 <= errors.count(None) <= 4
    assert held(daemon, "small") == 24_000 * errors.count(None) <= 100_000


async def test_existing_files_count_after_a_kill_and_removed_ones_do_not(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=60_000))
    origin.script("/g", ScriptedResponse(size=50_000))
    assert (await daemon.fetch("small", origin.url("/f")))[0] == 201
    await daemon.kill()
    await daemon.start()
    await full(daemon, "small", origin.url("/g"))
    # A file that replaces another needs quota for both until it is published.
    await full(daemon, "small", origin.url("/g"), filename="f", conflict="overwrite")
    await daemon.kill()
    (daemon.root / "small/f").unlink()
    await daemon.start()
    assert (await daemon.fetch("small", origin.url("/g")))[0] == 201
    origin.script("/h", ScriptedResponse(size=50_000))
    assert (await daemon.fetch("small", origin.url("/h"), filename="g", conflict="overwrite"))[0] == 201
    assert held(daemon, "small") == 50_000
    assert (await daemon.fetch("small", origin.url("/h")))[0] == 201
    assert held(daemon, "small") == 100_000


async def test_only_its_users_start_and_change_downloads_in_a_directory(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    url = origin.url("/f")
    for path in ("small/own", "small/own/", "//small//own", "small/own/below/it", "small%2Fown", "%73mall/own"):
        assert daemon.client is not None
        async with daemon.client.get(f"{daemon.url}/{path}", params={"download": url}, headers=AS_OTHER) as response:
            body = await response.json()
            refused = response.status == 403 and body == {"success": False, "error": MISSING}
            # An encoded slash is not valid in a path.
            assert refused or (response.status, body["error"]) == (400, "INVALID_PATH"), (path, body)
    items = [{"url": url, "directory": "elsewhere"}, {"url": url, "directory": "small/own"}]
    status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items}, headers=AS_OTHER)
    assert (status, body["error"]) == (403, MISSING)
    assert origin.requests("/f") == []
    status, answer = await daemon.fetch("small/own", url)
    assert status == 201
    id = answer["download_id"]
    for method, verb in (("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/retry")):
        status, body = await daemon.request(method, f"/api/v1/downloads/{id}{verb}", headers=AS_OTHER)
        assert (status, body["error"]) == (403, MISSING), verb
    status, body = await daemon.request("PATCH", f"/api/v1/downloads/{id}", json={"priority": 1}, headers=AS_OTHER)
    assert (status, body["error"]) == (403, MISSING)
    # They may read the lists, and use other directories.
    assert (await daemon.request("GET", f"/api/v1/downloads/{id}", headers=AS_OTHER))[0] == 200
    status, _ = await daemon.request("GET", "/small", params={"download": url, "wait": "30"}, headers=AS_OTHER)
    assert status == 201


async def test_files_and_directories_get_the_configured_modes(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    assert (await daemon.fetch("small/own/a/b", origin.url("/f")))[0] == 201
    modes = {
        path: (daemon.root / path).stat().st_mode & 0o7777 for path in ("small/own/a/b/f", "small/own/a/b", "small/own")
    }
    assert modes == {"small/own/a/b/f": 0o640, "small/own/a/b": 0o750, "small/own": 0o750}
    # The conflict policy of the directory is the default.
    _, answer = await daemon.fetch("small/own/a/b", origin.url("/f"))
    assert (await daemon.get_download(answer["download_id"]))["status"] == "skipped"
    assert (await daemon.fetch("small/own/a/b", origin.url("/f"), conflict="rename"))[0] == 201
    assert sorted(daemon.files()) == ["small/own/a/b/f", "small/own/a/b/f (1)"]


async def test_files_and_directories_get_the_configured_owner(tmp_path: Path, origin: Origin) -> None:
    # Root can give files to any user, other users only to themselves.
    uid, gid = (54321, 54322) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    table = f'[[directories]]\npath = "theirs"\nowner = "{uid}:{gid}"\nmode = "0600"\n'
    origin.script("/f", ScriptedResponse(size=3))
    async with DaemonProcess(tmp_path, config=DEFAULT_CONFIG + table) as daemon:
        assert (await daemon.fetch("theirs/a", origin.url("/f")))[0] == 201
        for path, mode in (("theirs/a/f", 0o600), ("theirs/a", 0o700), ("theirs", 0o700)):
            status = (daemon.root / path).stat()
            assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (uid, gid, mode), path
        assert (await daemon.fetch("ours", origin.url("/f")))[0] == 201
        assert (daemon.root / "ours/f").stat().st_uid == os.geteuid()


async def test_a_reload_changes_the_directory_settings_of_later_downloads(
    daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=60_000))
    assert (await daemon.fetch("grown", origin.url("/f")))[0] == 201
    await daemon.reload(DEFAULT_CONFIG + OTHERS + TABLES.replace('"1 GiB"', "70_000"))
    await full(daemon, "grown", origin.url("/f"), named="grown")
    await daemon.reload(DEFAULT_CONFIG + OTHERS + TABLES.replace('"1 GiB"', f'1_000_000\nusers = ["{OTHER}"]'))
    assert (await daemon.fetch("grown", origin.url("/f")))[0] == 403
    await daemon.reload(DEFAULT_CONFIG + OTHERS)
    assert (await daemon.fetch("grown", origin.url("/f")))[0] == 201
    assert (await daemon.fetch("closed", origin.url("/f")))[0] == 201


@pytest.mark.parametrize(
    ("table", "said"),
    [
        pytest.param('path = "../x"', "path", id="outside"),
        pytest.param('path = "api"', "api", id="reserved"),
        pytest.param("quota = 1", "path: is missing", id="no path"),
        pytest.param('path = "small/"', "already", id="twice"),
        pytest.param('path = "x"\nusers = []', "list of user ids", id="nobody"),
        pytest.param('path = "x"\nowner = "no-such-user"', "there is no user", id="unknown owner"),
        pytest.param('path = "x"\nowner = "0:no-such-group"', "there is no group", id="unknown group"),
        pytest.param('path = "x"\nowner = "4294967295"', "too high", id="owner that means unchanged"),
        pytest.param('path = "x"\nmode = "rw-"', "octal", id="no octal"),
        pytest.param('path = "x"\nmode = "4755"', "octal", id="set user id"),
        pytest.param('path = "x"\nmode = 640', "octal", id="number"),
        pytest.param('path = "x"\nconflict = "replace"', "rename, overwrite, skip or error", id="policy"),
        pytest.param('path = "x"\nquota = "-1 GiB"', "quota", id="negative"),
        pytest.param('path = "x"\nquotas = 1', "did you mean quota", id="unknown key"),
    ],
)
def test_an_error_in_a_table_is_named(tmp_path: Path, table: str, said: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(DEFAULT_CONFIG + TABLES.replace(OTHER, USER) + f"\n[[directories]]\n{table}\n")
    with pytest.raises(ConfigError) as caught:
        read_config(file=file, environment={"HOME": "/home/x"})
    assert said in caught.value.message
    assert "directories[4]" in caught.value.message


def test_an_owner_is_refused_without_the_permission_to_change_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_capabilities", lambda: 0)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ValueError, match="only by root or with CAP_CHOWN"):
        owners.resolve_owner("0:0")
    assert owners.resolve_owner(f"12345:{os.getegid()}") == f"12345:{os.getegid()}"
