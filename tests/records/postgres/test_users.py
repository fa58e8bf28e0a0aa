"""Records of users."""

from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.config_files import OTHER_HASH, TOKEN_HASH

from downloadd.clock import SystemClock
from downloadd.config import UserConfig
from downloadd.records.postgres.records import PostgresRecords

ANN = UserConfig(id="ann", token_hash=TOKEN_HASH, permissions=("download",), max_concurrent=3)
BOB = UserConfig(id="Bob", token_hash=OTHER_HASH, permissions=())
THIRD_HASH = f"sha256:{'3' * 64}"


async def test_users_are_kept_and_listed_by_id(database: str) -> None:
    async with PostgresRecords(database, SystemClock()) as records:
        assert await records.users.list() == []
        assert await records.users.add(ANN)
        assert await records.users.add(BOB)
    async with PostgresRecords(database, SystemClock()) as records:
        assert await records.users.list() == [BOB, ANN]
        rotated = await records.users.rotate("ann", THIRD_HASH)
        assert rotated == replace(ANN, token_hash=THIRD_HASH)
        assert await records.users.remove("Bob")
        assert await records.users.list() == [rotated]
        assert not await records.users.remove("Bob")
        assert await records.users.rotate("Bob", TOKEN_HASH) is None


@pytest.mark.parametrize("other", [{"id": "ann", "token_hash": OTHER_HASH}, {"id": "other", "token_hash": TOKEN_HASH}])
async def test_a_taken_id_or_token_is_refused(database: str, other: dict[str, Any]) -> None:
    async with PostgresRecords(database, SystemClock()) as records:
        await records.users.add(ANN)
        assert not await records.users.add(UserConfig(**other))
        assert await records.users.list() == [ANN]


async def test_a_setting_of_a_newer_version_is_left_out(database: str) -> None:
    async with PostgresRecords(database, SystemClock()) as records:
        await records.users.add(ANN)
        connection = await asyncpg.connect(database)
        await connection.execute("UPDATE users SET settings = replace(settings, '{', '{\"newer\": 1, ')")
        await connection.close()
        assert await records.users.list() == [ANN]


async def test_a_damaged_user_is_left_out(database: str) -> None:
    async with PostgresRecords(database, SystemClock()) as records:
        await records.users.add(ANN)
        await records.users.add(BOB)
        connection = await asyncpg.connect(database)
        await connection.execute("UPDATE users SET settings = '[\"download\"]' WHERE id = 'ann'")
        await connection.close()
        with capture_logs() as lines:
            assert await records.users.list() == [BOB]
        assert lines[0]["log_level"] == "error"
