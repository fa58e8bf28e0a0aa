"""Records of origins that are not healthy, and the migration that gave downloads an origin."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from support.clocks import ManualClock

from downloadd.records.origins import OriginRecord
from downloadd.records.schema import apply_migrations, shipped_migrations
from downloadd.records.sqlite import SqliteRecords


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as opened:
        yield opened


async def test_a_damaged_row_is_left_out(records: SqliteRecords, tmp_path: Path) -> None:
    good = OriginRecord(
        origin="http://good", backoff_until=1.0, is_open=True, probe_at=2.0, failures=3, has_answered=False
    )
    await records.origins.save(good)
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection, connection:
        connection.execute("INSERT INTO origins VALUES ('http://bad', 'x', 1, 9, 1, NULL, 0, NULL)")
    assert await records.origins.load() == [good]


@pytest.mark.parametrize(
    ("host", "url", "shown", "mirrors", "turn", "origin"),
    [
        ("a.example", None, "https://a.example/f", None, 0, "https://a.example"),
        ("a.example", None, "HTTP://A.example:80?x=/", None, 0, "http://a.example"),
        ("a.example", None, "HTTPS://A.example:80#x:9", None, 0, "https://a.example:80"),
        ("a.example", "http://u:p@a.example:08080/f:1", "http://a.example:08080/f:1", None, 0, "http://a.example:8080"),
        ("a.example", None, "http://a.example:/f", None, 0, "http://a.example"),
        ("::1", None, "http://[0::1]/f", None, 0, "http://[::1]"),
        ("::1", None, "https://[::1]:8443", None, 0, "https://[::1]:8443"),
        ("b", None, "http://a/f", '[{"url": "http://c/", "host": "c"}, {"url": "https://b:1/"}]', 2, "https://b:1"),
        # A damaged row keeps what it has; a refused request has none.
        ("b", None, "http://a/f", "[]", 2, "b"),
        ("b", None, "http://a/f", "{", 1, "http://b"),
        ("", None, "ftp://x", None, 0, ""),
        ("a", None, "x", None, 0, "a"),
    ],
)
def test_the_host_of_a_download_becomes_its_origin(
    host: str, url: str | None, shown: str, mirrors: str | None, turn: int, origin: str
) -> None:
    migrations = shipped_migrations()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        apply_migrations(connection, [one for one in migrations if one.version < 11], 0)
        connection.execute(
            "INSERT INTO downloads (id, user, secret_url, shown_url, host, mirrors, turn, directory, conflict, "
            "timeout, segments, start_time, desired, priority, speed_limit, state, filename) "
            "VALUES ('i', 'u', ?, ?, ?, ?, ?, '', '', 0, 1, 0, '', 0, 0, '', '')",
            (url, shown, host, mirrors, turn),
        )
        apply_migrations(connection, [one for one in migrations if one.version >= 11], 10)
        assert connection.execute("SELECT origin, retrying_since FROM downloads").fetchall() == [(origin, None)]
