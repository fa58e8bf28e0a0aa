"""The composition root: everything opens, is wired, and is closed again."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.app_config import config_for
from support.daemon_process import TOKEN
from support.missing_driver import hide_asyncpg
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.postgres_server import PostgresServer
from support.waiting import wait_until

from downloadd.accounts.local_users import LocalUsers
from downloadd.accounts.user_file import read_users, write_users
from downloadd.accounts.user_store import make_user
from downloadd.app import App
from downloadd.config import ClusterConfig, Config, DirectoryConfig, HookConfig, ServerConfig, TcpAddress
from downloadd.daemon.listeners import bind, listener_url
from downloadd.errors import StartupError
from downloadd.manager.manager import Manager
from downloadd.manager.user_quotas import UserQuotas
from downloadd.user_quota import UserQuota


async def test_it_downloads_and_leaves_nothing_running(tmp_path: Path) -> None:
    tasks, threads, descriptors = asyncio.all_tasks(), set(threading.enumerate()), set(os.listdir("/proc/self/fd"))
    async with Origin() as origin:
        origin.script("/a", ScriptedResponse(size=10))
        sockets = bind(TcpAddress("127.0.0.1", 0))
        base = listener_url(sockets[0]).rstrip("/")
        async with App(config_for(tmp_path)) as app:
            await app.listen(sockets)
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
                async with client.get(f"{base}/d", params={"download": origin.url("/a"), "wait": "20"}) as response:
                    assert (await response.json())["message"] == "Download completed"
                # One that still runs when everything closes.
                origin.script("/slow", ScriptedResponse(size=1000, stall_after=10))
                async with client.get(f"{base}/d", params={"download": origin.url("/slow")}) as response:
                    assert response.status == 201
                await origin.wait_requested("/slow")
    assert (tmp_path / "files/d/a").stat().st_size == 10

    def all_finished() -> bool:
        # The loop's own executor lives as long as the loop.
        left = {thread for thread in set(threading.enumerate()) - threads if not thread.name.startswith("asyncio_")}
        return not left and asyncio.all_tasks() <= tasks and set(os.listdir("/proc/self/fd")) <= descriptors

    await wait_until(all_finished)


async def test_a_second_one_on_the_same_state_directory_is_refused(tmp_path: Path) -> None:
    async with App(config_for(tmp_path)):
        with pytest.raises(StartupError, match="another"):
            async with App(config_for(tmp_path)):
                pass
    async with App(config_for(tmp_path)):
        pass


def with_database(folder: Path, database: str) -> Config:
    """Return the configuration of an app whose records are in PostgreSQL."""
    return replace(config_for(folder), cluster=ClusterConfig(database=database))


async def test_records_in_a_database_leave_the_state_directory_to_one_daemon(tmp_path: Path, database: str) -> None:
    async with App(with_database(tmp_path, database)):
        with pytest.raises(StartupError, match="uses the state directory"):
            async with App(config_for(tmp_path)):
                pass
    async with App(config_for(tmp_path)):
        pass


async def test_a_shared_database_may_have_all_users_but_there_must_be_one(tmp_path: Path, database: str) -> None:
    config = replace(with_database(tmp_path, database), users=())
    with pytest.raises(StartupError, match="there are no users") as raised:
        async with App(config):
            pass
    assert raised.value.exit_status == 2
    write_users(tmp_path / "state", [make_user("ann", ["download"])[0]])
    # The first start moves the user to the database.
    for _ in range(2):
        async with App(config):
            pass
        assert read_users(tmp_path / "state") == ()


async def test_users_who_are_named_and_revoked_do_not_stop_the_next_start(tmp_path: Path) -> None:
    config = replace(config_for(tmp_path), directories=(DirectoryConfig(path="a", users=("ann", "u")),))
    (tmp_path / "state").mkdir()
    write_users(tmp_path / "state", [make_user("ann", ["download"])[0]])
    with capture_logs() as lines:
        async with App(config):
            pass
        LocalUsers(tmp_path / "state").revoke("ann")
        async with App(config):
            pass
    assert [line["user"] for line in lines if line["event"] == "unknown_user"] == ["ann"]


async def test_quotas_of_users_who_were_made_hold_before_downloads_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited: list[str] = []
    opened: list[list[str]] = []
    open_manager = Manager.__aenter__

    def configure(self: UserQuotas, quotas: Mapping[str, UserQuota]) -> None:
        limited[:] = quotas

    async def enter(self: Manager) -> Manager:
        opened.append(list(limited))
        return await open_manager(self)

    monkeypatch.setattr(UserQuotas, "configure", configure)
    monkeypatch.setattr(Manager, "__aenter__", enter)
    (tmp_path / "state").mkdir()
    write_users(tmp_path / "state", [make_user("ann", ["download"])[0]])
    async with App(config_for(tmp_path)):
        assert opened == [["u", "ann"]]


_KEEP_LAST_REPORTS = """
CREATE TABLE last_reports (report text);
CREATE RULE keep AS ON DELETE TO nodes DO ALSO INSERT INTO last_reports VALUES (old.report)
"""


async def test_a_node_drains_before_it_leaves_and_is_replaced_by_its_own_successor_only(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    name = await postgres_server.create_database()
    config = with_database(tmp_path, postgres_server.socket_url(name))
    async with App(config, url="http://first"):
        await postgres_server.execute(_KEEP_LAST_REPORTS, database=name)
    connection = await asyncpg.connect(postgres_server.socket_url(name))
    try:
        [last] = await connection.fetch("SELECT report::json FROM last_reports")
        report = json.loads(last[0])
        assert (report["is_draining"], report["url"], report["name"]) == (True, "http://first", socket.gethostname())
        assert await connection.fetchval("SELECT count(*) FROM nodes") == 0
        # A daemon that was killed leaves its row behind.
        await connection.execute(
            "INSERT INTO nodes VALUES ($1, 's', $2, 15, clock_timestamp(), $3)",
            report["name"],
            report["instance"],
            last[0],
        )
        other = replace(config, server=ServerConfig(state_dir=str(tmp_path / "other")))
        with pytest.raises(StartupError, match=r"living node at http://first has the name .*cluster\.node"):
            async with App(other):
                pass
        async with App(config):
            pass
    finally:
        await connection.close()


async def test_a_database_without_the_driver_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_asyncpg(monkeypatch)
    with pytest.raises(StartupError, match=r"pip install 'downloadd\[cluster\]'") as raised:
        async with App(with_database(tmp_path, "postgresql://h/d")):
            pass
    assert raised.value.exit_status == 2


async def test_what_fails_to_open_closes_what_was_open(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    with pytest.raises(Exception, match="files"):
        async with App(config_for(tmp_path)):
            pass
    (tmp_path / "files").unlink()
    async with App(config_for(tmp_path)):
        pass


# A plugin of Apprise imports it.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
async def test_a_reload_with_what_cannot_be_used_is_refused_as_a_whole(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    sockets = bind(TcpAddress("127.0.0.1", 0))
    base = listener_url(sockets[0]).rstrip("/")
    async with App(config) as app, aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        await app.listen(sockets)
        downloads = replace(config.downloads, ca_file=str(tmp_path / "missing.pem"))
        with pytest.raises(StartupError, match=r"ca_file: .*missing\.pem: cannot be read"):
            await app.reload(replace(config, downloads=downloads, users=()))
        hook = HookConfig(name="phone", notify=("nothing://host",))
        with pytest.raises(StartupError, match="is not a URL of Apprise"):
            await app.reload(replace(config, hooks=(hook,), users=()))
        async with client.get(f"{base}/api/v1/downloads") as response:
            assert response.status != 401


async def test_a_reload_brings_users_policy_and_permission_to_download(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    sockets = bind(TcpAddress("127.0.0.1", 0))
    base = listener_url(sockets[0]).rstrip("/")
    async with App(config) as app, aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        await app.listen(sockets)

        async def ask(path: str) -> tuple[int, str]:
            async with client.get(f"{base}{path}") as response:
                return response.status, (await response.json()).get("error", "")

        start = "/d?download=http%3A%2F%2Fother.example%2F"
        await app.reload(replace(config, downloads=replace(config.downloads, allowed_domains=("example.com",))))
        assert await ask(start) == (403, "DOMAIN_BLOCKED")
        await app.reload(replace(config, downloads=replace(config.downloads, enabled=False)))
        assert await ask(start) == (403, "DOWNLOAD_FORBIDDEN")
        await app.reload(replace(config, users=()))
        assert await ask("/api/v1/downloads") == (401, "unauthorized")
