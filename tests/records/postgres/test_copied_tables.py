"""Tables that are copied, and the conversion of their rows."""

from typing import Final

import pytest
from support.downloads import with_fields
from support.filled_records import ODD
from support.stored_downloads import sample_download

from downloadd.errors import StorageError
from downloadd.records.postgres.copied_tables import COPIED_TABLES
from downloadd.records.postgres.import_keys import import_key
from downloadd.records.postgres.schema import shipped_migrations
from downloadd.records.rows import Row, encode
from downloadd.records.schema import shipped_migrations as sqlite_migrations
from downloadd.states import State

CONVERT: Final = {table.label: table.convert for table in COPIED_TABLES}
# The boot and the other single rows are copied too; commits, nodes and slots are those of the daemons of the database,
# as are users and limits, which a daemon with a file of records does not keep there.
OTHERS: Final = {
    *("slots", "birth", "boot", "storage_root", "cleared_results", "counter", "commits", "nodes"),
    *("users", "limits"),
}


def test_every_table_with_its_columns_is_copied() -> None:
    created = "".join(migration.sql for migration in shipped_migrations())
    tables = {line.split()[2] for line in created.splitlines() if line.startswith("CREATE TABLE")}
    assert {table.table for table in COPIED_TABLES} == tables - OTHERS
    read = "".join(migration.sql for migration in sqlite_migrations())
    assert all(f"CREATE TABLE {table.table} " in read for table in COPIED_TABLES)


def test_a_row_of_a_download_has_the_text_for_searches_once_it_has_ended() -> None:
    active = sample_download(filename="Ä")
    ended = with_fields(active, state=State.FAILED, ended_seq=4, end_time=1)
    assert CONVERT["active downloads"]((7, *encode(active, None))) == (7, *encode(active, None), None)
    row = CONVERT["downloads of the history"]((7, *encode(ended, 4)))
    assert row == (7, *encode(ended, 4), "https://example.com/data.csv\0ä")


def test_bytes_are_the_texts_that_sqlite_does_not_take() -> None:
    odd = ODD.encode("utf-8", "surrogatepass")
    row = CONVERT["responses to requests with an Idempotency-Key"]((odd, odd, b"f", 201, b"{}", 1.0))
    assert row == (ODD, ODD, b"f", 201, b"{}", 1.0)


def test_long_ids_of_imports_are_stored_as_in_postgresql() -> None:
    id = "x" * 3000
    channel = f'{{"channel_id":"{id}","name":"general"}}'
    assert CONVERT["imported channels"](("i", id, channel, 1))[1] == import_key(id)
    assert CONVERT["imported users"](("i", id, f'{{"user_id":"{id}","username":"ann"}}', 0))[1] == import_key(id)
    row = CONVERT["files of imports"]((1, "i", "file", id, '{"file_id":"F"}', 1, id, 0, "found", *[None] * 7))
    assert row[3] == import_key(id)
    assert import_key(id) in row[7:]


def test_flags_links_and_channels_have_the_form_of_postgresql() -> None:
    channel = '{"channel_id":"C","name":"general","directory":""}'
    assert CONVERT["imported channels"](("i", "C", channel, 1)) == ("i", "C", channel, "general", None, True)
    user = '{"user_id":"U","username":"ann"}'
    assert CONVERT["imported users"](("i", "U", user, 0)) == ("i", "U", user, False)
    link = '{"file_id":"F","request_fields":{"referer":"secret"}}'
    row = CONVERT["files of imports"]((1, "i", "file", "C", link, 1, "F", 0, "found", *[None] * 7))
    assert row[:7] == (1, "i", "file", "C", '{"file_id":"F"}', '{"referer":"secret"}', True)


@pytest.mark.parametrize(
    ("label", "row"),
    [
        ("active downloads", (1, *encode(sample_download(), None)[:-1], 2)),
        ("responses to requests with an Idempotency-Key", ("u", "k", "text", 201, b"", 1.0)),
        ("responses to requests with an Idempotency-Key", ("u", b"\xff", b"", 201, b"", 1.0)),
        ("imported users", ("i", "U", "{", 1)),
        ("imported channels", ("i", "C", '{"channel_id":1}', 1)),
        ("skipped parts of imports", (1, "i", "", "", "\udcff")),
        ("messages to hooks", (1, "e", "h", "d", b"", 1.0, 0, None)),
        ("origins that are not healthy", ("o", 1.0, 2, 1.0, 0, None, 1, None)),
    ],
)
def test_a_damaged_row_is_an_error(label: str, row: Row) -> None:
    with pytest.raises(StorageError, match="is damaged"):
        CONVERT[label](row)
