"""Detection of a restart of the machine."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from downloadd.records import boot
from downloadd.records.boot import boot_id, record_boot


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.executescript(
            "CREATE TABLE boot (id); CREATE TABLE downloads (received, received_ranges, part_name, ended_seq);"
        )
        yield opened


def ranges(connection: sqlite3.Connection) -> list[str | None]:
    return [row[0] for row in connection.execute("SELECT received_ranges FROM downloads ORDER BY rowid")]


def test_another_boot_limits_part_files_to_their_checkpoints(connection: sqlite3.Connection) -> None:
    record_boot(connection, "first")
    rows = [(7, None, "p", None), (7, "3-9", "p", None), (7, None, None, None), (7, None, "p", 1)]
    connection.executemany("INSERT INTO downloads VALUES (?, ?, ?, ?)", rows)
    record_boot(connection, "first")
    assert ranges(connection) == [None, "3-9", None, None]
    record_boot(connection, "second")
    assert ranges(connection) == ["0-7", "3-9", None, "0-7"]


def test_an_unknown_boot_may_be_another_one(connection: sqlite3.Connection) -> None:
    record_boot(connection, None)
    connection.execute("INSERT INTO downloads VALUES (7, NULL, 'p', NULL)")
    record_boot(connection, None)
    assert ranges(connection) == ["0-7"]


def test_a_failure_leaves_no_open_transaction(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE downloads")
    with pytest.raises(sqlite3.OperationalError):
        record_boot(connection, "x")
    assert not connection.in_transaction


def test_a_machine_without_a_boot_id_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "_BOOT_ID_FILE", tmp_path / "nothing")
    assert boot_id() is None
    (tmp_path / "nothing").write_text("abc\n")
    assert boot_id() == "abc"
