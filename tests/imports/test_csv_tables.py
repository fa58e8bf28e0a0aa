"""Reading of CSV files."""

import pytest
from support.import_files import links, packed, read, skipped

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    MessageCount,
    WorkspaceUser,
)
from downloadd.imports.refusal import ImportRefusedError


def test_a_workspace_of_tables_is_read() -> None:
    data = packed(
        {
            "users.csv": 'ann,ann@example.com,"Ann, A."\nbob,bob@example.com,Bob\nlonely\n',
            "channels.csv": "general,ann,public,ann;bob\nsecret,ann,private,ann\n",
            "general/1.csv": 'ann,1479162481336,"two\nlines"\nbob,1479162481337,x\n',
            "directmessages/1.csv": "ann,bob,1479162481336,hello\n",
            "later/1.csv": "ann,1,x\n",
        }
    )
    items = read("csv", data)
    assert [item.username for item in items if isinstance(item, WorkspaceUser)] == ["ann", "bob"]
    assert [(c.channel_id, c.is_private, c.is_direct) for c in items if isinstance(c, Channel)] == [
        ("general", False, False),
        ("secret", True, False),
        (DIRECT_MESSAGES_CHANNEL_ID, True, True),
        ("later", False, False),
    ]
    assert sum(item.count for item in items if isinstance(item, MessageCount)) == 4
    assert len(skipped(items)) == 1


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_of_urls_is_read_with_any_separator_and_encoding(separator: str, encoding: str) -> None:
    rows = [
        ("Filename", "URL", "directory", "checksum", "note"),
        ("grün.txt", "https://a.example/1?x=1", "a/b", f"sha-256={'0' * 64}", ""),
        ("", "https://a.example/2", "", "", ""),
        ("", "", "", "", ""),
        ("x", "nonsense", "", "", ""),
    ]
    text = "\r\n".join(separator.join(row) for row in rows)
    items = read("csv", text.encode(encoding))
    first, second = links(items)
    assert (first.name, first.url, first.directory) == ("grün.txt", "https://a.example/1?x=1", "a/b")
    assert (first.checksum, second.checksum, second.name) == (f"sha-256={'0' * 64}", None, "")
    assert first.file_id != second.file_id
    assert skipped(items) == ["line 5: no URL with its scheme, such as https://"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "url"),
        (b"name,link\na,https://a.example/\n", "url"),
        (b"url\n\n", "names no file"),
        (b'url\n"' + b"x" * 200_000, "cannot be read"),
        (packed({"x.txt": "y"}), "users.csv"),
    ],
)
def test_a_table_without_urls_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ImportRefusedError, match=sentence):
        read("csv", data)
