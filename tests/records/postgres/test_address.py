"""Address of the database: what makes it unusable, said in one sentence without the password."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator

import asyncpg
import pytest
from support.clocks import ManualClock
from support.ports import free_port
from support.postgres_server import PASSWORD, PASSWORD_USER, USER, PostgresServer
from support.waiting import CONDITION_TIMEOUT, wait_until
from support.wire import Wire

from downloadd.errors import StartupError
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.records import PostgresRecords

QUOTED = PASSWORD.replace("/", "%2F")


async def refusal(url: str) -> str:
    """Return the message with which the records refuse to open."""
    with pytest.raises(StartupError) as raised:
        async with PostgresRecords(url, ManualClock()):
            pass
    message = str(raised.value)
    assert "\n" not in message
    for secret in (PASSWORD, QUOTED, "wrong"):
        assert secret not in message
    assert raised.value.__cause__ is None
    return message


def test_the_label_and_the_representation_have_no_password() -> None:
    address = DatabaseAddress("postgresql://ann:s3cret@db.example:5433/name?sslmode=require")
    assert address.label == "name on db.example:5433"
    assert repr(address) == "DatabaseAddress(name on db.example:5433)"
    assert DatabaseAddress("postgresql:///name?host=/run/x").label == "name on /run/x"
    assert DatabaseAddress("postgresql://[s3cret/name").label == "of cluster.database"


def test_a_message_names_what_the_user_corrects() -> None:
    address = DatabaseAddress("postgresql://[s3cret/name", setting="--to")
    assert address.label == "of --to"
    for error in (ValueError(), asyncpg.InvalidCatalogNameError(), asyncpg.InvalidPasswordError(), OSError()):
        assert re.search(r"correct (it|them in --to|--to)$", address.startup_error(error).message)


@pytest.mark.parametrize("character", "/?#")
async def test_a_password_whose_characters_are_not_encoded_is_not_shown(character: str) -> None:
    for password in (f"pass{character}wrong", f"wrong{character}pass", f"wr@ng{character}wrong@wrong"):
        assert "the database of cluster.database cannot" in await refusal(f"postgresql://ann:{password}@127.0.0.1:1/x")


async def test_a_server_that_does_not_run_is_refused() -> None:
    message = await refusal(f"postgresql://ann:wrong@127.0.0.1:{free_port()}/name")
    assert re.search(r"the database name on 127\.0\.0\.1:\d+ cannot be used: .*start the server", message)


async def test_a_missing_database_is_refused(postgres_server: PostgresServer) -> None:
    assert "there is no such database" in await refusal(postgres_server.url("missing"))


async def test_a_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    await postgres_server.add_password_user()
    url = postgres_server.url("postgres", user=PASSWORD_USER, password="wrong")
    assert "refuses the user or the password" in await refusal(url)


async def test_a_server_without_tls_is_refused_if_the_url_asks_for_it(postgres_server: PostgresServer) -> None:
    url = postgres_server.url("postgres")
    assert "the server does not offer TLS" in await refusal(f"{url}?sslmode=require")


async def test_missing_rights_are_refused(postgres_server: PostgresServer) -> None:
    await postgres_server.add_password_user()
    message = await refusal(postgres_server.url("postgres", user=PASSWORD_USER, password=QUOTED))
    assert "the user lacks a right (permission denied for schema public" in message


async def test_another_encoding_is_refused(postgres_server: PostgresServer) -> None:
    name = await postgres_server.create_database("ENCODING latin1 LOCALE 'C' TEMPLATE template0")
    assert "the encoding of the database is LATIN1" in await refusal(postgres_server.socket_url(name))


async def test_a_read_only_server_is_refused(database: str) -> None:
    assert "the server is read-only" in await refusal(f"{database}&default_transaction_read_only=on")


async def test_an_old_server_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # No older server can be installed beside the other one.
    version = asyncpg.ServerVersion(14, 9, 0, "final", 0)
    monkeypatch.setattr(asyncpg.Connection, "get_server_version", lambda connection: version)
    assert "the server has PostgreSQL 14; upgrade it to 15 or newer" in await refusal(database)


async def test_a_server_that_turns_silent_in_the_middle_of_a_connection_is_not_waited_for(
    postgres_server: PostgresServer,
) -> None:
    async with Wire(postgres_server.port) as wire, asyncio.timeout(30):
        wire.silent = b"set_config"
        with pytest.raises(TimeoutError):
            await DatabaseAddress(postgres_server.url("postgres", port=wire.port), timeout=1.0).connect()
        assert wire.silenced == 1


@pytest.fixture
def pooler(postgres_server: PostgresServer, pool_mode: str) -> Iterator[int]:
    """Start pgbouncer in a mode; yield its port."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    port = free_port()
    users = postgres_server.folder / "users"
    users.write_text(f'"{USER}" ""')
    config = postgres_server.folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host=127.0.0.1 port={postgres_server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = trust\nauth_file = {users}\npool_mode = {pool_mode}\n"
        "unix_socket_dir =\n"
    )
    process = subprocess.Popen([*postgres_server.owner_command(), "--", program, "-q", str(config)])
    try:
        yield port
    finally:
        process.kill()
        process.wait(CONDITION_TIMEOUT)


@pytest.mark.parametrize(("pool_mode", "is_refused"), [("transaction", True), ("session", False)])
async def test_a_pooler_is_refused_in_transaction_mode_only(
    postgres_server: PostgresServer, database: str, reused_databases: list[str], pooler: int, is_refused: bool
) -> None:
    url = postgres_server.url(reused_databases[0], user=USER, port=pooler)

    async def is_up() -> bool:
        try:
            await (await asyncpg.connect(url, statement_cache_size=0)).close()
        except OSError:
            return False
        return True

    await wait_until(is_up)
    if is_refused:
        assert "a pooler such as pgbouncer in transaction mode is in between" in await refusal(url)
        return
    async with PostgresRecords(url, ManualClock()) as records:
        assert await records.last_ended_seq() == 0
