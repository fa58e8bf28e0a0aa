"""Users of the running daemon."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from support.config_files import OTHER_HASH, TOKEN_HASH

from downloadd.accounts.first_user import ensure_first_user
from downloadd.accounts.user_file import stat_user_files, write_users
from downloadd.config import Config, LoadedConfig, UserConfig
from downloadd.daemon.user_source import UserSource
from downloadd.errors import StartupError

ALICE = UserConfig(id="alice", token_hash=TOKEN_HASH)
BOB = UserConfig(id="bob", token_hash=OTHER_HASH)


def make_source(state: Path, *, has_configured_users: bool, configurations: Sequence[Config] = ()) -> UserSource:
    remaining = iter(configurations)
    return UserSource(
        state,
        has_configured_users=has_configured_users,
        applied=stat_user_files(state),
        read_config=lambda: LoadedConfig(config=next(remaining)),
        log=structlog.get_logger(),
    )


def test_the_first_user_stays_beside_configured_ones_until_its_file_is_removed(tmp_path: Path) -> None:
    source = make_source(tmp_path, has_configured_users=True)
    first = ensure_first_user(tmp_path)
    assert source.find(Config(users=(ALICE,))) == (ALICE, first.user)
    same = UserConfig(id="me", token_hash=first.user.token_hash)
    assert source.find(Config(users=(same,))) == (same,)
    first.file.unlink()
    assert source.find(Config(users=(ALICE,))) == (ALICE,)


def test_without_users_the_first_one_is_found_unless_there_were_others(tmp_path: Path) -> None:
    source = make_source(tmp_path, has_configured_users=False)
    first = ensure_first_user(tmp_path)
    assert source.find(Config()) == (first.user,)
    source.confirm(Config(users=(ALICE,)))
    with pytest.raises(StartupError, match="no longer names users"):
        source.find(Config())


async def test_a_change_of_the_file_is_applied_and_a_mistake_is_not(tmp_path: Path) -> None:
    configurations = (Config(users=(ALICE, BOB)), Config(), Config(users=(BOB,)))
    source = make_source(tmp_path, has_configured_users=True, configurations=configurations)
    applied: list[tuple[UserConfig, ...]] = []
    source.apply = applied.append
    with structlog.testing.capture_logs() as lines:
        watching = asyncio.create_task(source.watch())
        for number, users in enumerate(((ALICE,), (ALICE,), ())):
            write_users(tmp_path, users)
            async with asyncio.timeout(60):
                while len(lines) <= number:
                    await asyncio.sleep(0.01)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    assert applied == [(ALICE, BOB), (BOB,)]
    assert [line["event"] for line in lines] == ["users_changed", "users_not_changed", "users_changed"]


async def test_the_last_user_of_the_state_directory_is_refused_at_once_when_it_is_removed(tmp_path: Path) -> None:
    write_users(tmp_path, [ALICE])
    configurations = (Config(users=(ALICE,)), Config())
    source = make_source(tmp_path, has_configured_users=False, configurations=configurations)
    applied: list[tuple[UserConfig, ...]] = []
    source.apply = applied.append
    await source.reread()
    assert applied == []
    first = ensure_first_user(tmp_path)
    await source.reread()
    write_users(tmp_path, [])
    await source.reread()
    assert applied == [(ALICE, first.user), (first.user,)]
    first.file.unlink()
    with pytest.raises(StartupError, match="token"):
        source.find(Config())


async def test_without_a_first_user_nobody_has_the_token_of_the_last_revoked_one(tmp_path: Path) -> None:
    write_users(tmp_path, [ALICE])
    source = make_source(tmp_path, has_configured_users=False, configurations=[Config()])
    applied: list[tuple[UserConfig, ...]] = []
    source.apply = applied.append
    write_users(tmp_path, [])
    await source.reread()
    assert applied == [()]
