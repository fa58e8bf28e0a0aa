"""Reading of CSV files."""

import pytest
from support.import_files import links, packed, read, reasons, skipped

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    FileLink,
    MessageCount,
    SkippedEntry,
    WorkspaceUser,
)
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.validation import ItemValidator


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


def test_a_workspace_may_be_in_a_directory_of_its_archive() -> None:
    tables = {
        "users.csv": "ann,ann@example.com,Ann\n",
        "channels.csv": "general,ann,public,ann\n,x\n",
        "general/users.csv": "ann,1,x\n",
    }
    items = read("csv", packed({"other/1.csv": "x", **{f"my team/{name}": text for name, text in tables.items()}}))
    assert [item.username for item in items if isinstance(item, WorkspaceUser)] == ["ann"]
    assert [item.channel_id for item in items if isinstance(item, Channel)] == ["general"]
    assert sum(item.count for item in items if isinstance(item, MessageCount)) == 1
    assert [(item.reason, item.entry) for item in items if isinstance(item, SkippedEntry)] == [
        ("malformed", "my team/channels.csv"),
        ("unknown_entry", "other/1.csv"),
    ]


def test_a_channel_may_have_a_table_with_the_name_of_a_list() -> None:
    items = read("csv", packed({"general/users.csv": "ann,1,x\n", "channels.csv": "general,ann\n"}))
    assert [item.channel_id for item in items if isinstance(item, Channel)] == ["general"]
    assert sum(item.count for item in items if isinstance(item, MessageCount)) == 1


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
        (b'url,"a\nb" c\nurl\nhttps://h/', "the header at line 1 cannot be read"),
        (b"url\nnonsense\n", "names no file"),
        (b"url,URL\nhttps://h/1,https://h/2\n", "several columns with the heading url"),
        (b"url,checksum,Checksum\nhttps://h/1,,\n", "several columns with the heading checksum"),
        (b'url\n"' + b"x" * 200_000, "cannot be read"),
        (packed({"x.txt": "y"}), "users.csv"),
    ],
)
def test_a_table_without_urls_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ImportRefusedError, match=sentence):
        read("csv", data)


def test_a_column_that_is_named_by_an_algorithm_has_checksums() -> None:
    strong, weak = "A" * 64, "b" * 32
    rows = ["url,MD5,SHA-256,checksum", f"https://h/1,{weak},{strong},", f"https://h/2,{weak},,",
            f"https://h/3,{weak},{strong},sha-1={'c' * 40}", "https://h/4,,,", f"https://h/5,,{weak},"]  # fmt: skip
    found = list(ItemValidator("Imports", "/srv/files").validate(iter(read("csv", "\n".join(rows).encode()))))
    checksums = [link.checksum for link in found if isinstance(link, FileLink)]
    assert checksums == [f"sha-256={strong}", f"md5={weak}", f"sha-1={'c' * 40}", None]
    [report] = [item for item in found if isinstance(item, SkippedEntry)]
    assert (report.line, report.detail) == (6, "checksum: sha-256 has exactly 64 hex digits")
    with pytest.raises(ImportRefusedError, match="several columns with the heading sha-256"):
        read("csv", b"url,sha256,SHA-256\nhttps://h/1,,\n")


def test_a_row_with_more_cells_than_the_header_is_not_fetched() -> None:
    data = b'url,filename\nhttps://h/a,b,c.jpg\n"https://h/a,b",c.jpg\nhttps://h/d,e.jpg,,\n'
    items = read("csv", data)
    assert [(link.url, link.name) for link in links(items)] == [("https://h/a,b", "c.jpg"), ("https://h/d", "e.jpg")]
    assert reasons(items) == ["too_many_cells"]
    assert skipped(items)[0].startswith("line 2: 3 cells, but the header has 2")


def test_the_number_of_a_line_counts_rows_of_several_lines() -> None:
    items = read("csv", b'url,note\nhttps://h/1,"two\nlines"\nhttps://h/2,a,b\nnonsense,\n')
    assert [link.line for link in links(items)] == [2]
    assert [item.line for item in items if isinstance(item, SkippedEntry)] == [4, 5]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"'])
def test_the_separator_line_of_excel_is_used(first: str) -> None:
    items = read("csv", f"{first}\r\nurl;filename\r\nhttps://h/a,b;c\r\nnonsense;d\r\n".encode())
    assert [(link.url, link.name, link.line) for link in links(items)] == [("https://h/a,b", "c", 3)]
    assert [item.line for item in items if isinstance(item, SkippedEntry)] == [4]


def test_entries_of_a_workspace_that_are_not_part_of_the_format_are_reported() -> None:
    items = read("csv", packed({"users.csv": "", "readme.txt": "x", "__MACOSX/._users.csv": "x", ".DS_Store": "x"}))
    assert [(item.reason, item.entry) for item in items if isinstance(item, SkippedEntry)] == [
        ("unknown_entry", "readme.txt")
    ]


@pytest.mark.parametrize("rows", ['{}/a.bin,"5 inch\n{}/b.bin,x\n{}/c.bin,y', '{}/a.bin,"5 inch\n', '{}/a.bin,"5 inch'])
def test_a_quotation_mark_that_is_not_closed_is_refused_with_its_line(rows: str) -> None:
    text = 'url,note\nhttps://h/0,"two\nlines"\n' + rows.replace("{}", "https://h")
    with pytest.raises(ImportRefusedError, match="quotation mark in the row at line 4 is not closed"):
        read("csv", text.encode())


def test_rows_that_quotation_marks_join_are_reported() -> None:
    items = read("csv", b'url,note\nhttps://h/1,"5 inch\nhttps://h/2,"7 inch"\nhttps://h/3,x\n')
    assert [link.url for link in links(items)] == ["https://h/3"]
    [report] = [item for item in items if isinstance(item, SkippedEntry)]
    assert (report.reason, report.line) == ("malformed", 2)
    assert report.detail.startswith("line 2: text follows a quotation mark")


def test_text_after_a_quotation_mark_within_one_line_is_part_of_the_cell() -> None:
    items = read("csv", b'url,filename\nhttps://h/1,"5" disk\nhttps://h/2,5" disk\nhttps://h/3,"5"" disk"\n')
    assert [link.name for link in links(items)] == ["5 disk", '5" disk', '5" disk']
    assert not skipped(items)


def test_quotation_marks_in_a_workspace_that_are_not_closed_are_reported() -> None:
    data = {"users.csv": 'ann,a@example.com,"A"\nb,"c\nd" e,f\n', "channels.csv": 'general\nx,"c\nd" e,f\n'}
    items = read("csv", packed({**data, "general/1.csv": 'ann,1,"x\ny"z\nann,2,x\nann,3,"x\nbob,4,y\n'}))
    assert [(item.entry, item.line) for item in items if isinstance(item, SkippedEntry)] == [
        ("users.csv", 2),
        ("channels.csv", 2),
        ("general/1.csv", 1),
        ("general/1.csv", 4),
    ]
    assert [item.count for item in items if isinstance(item, MessageCount)] == [1]
    with pytest.raises(ImportRefusedError, match=r"users\.csv cannot be read: .* at line 1 is not closed"):
        read("csv", packed({"users.csv": 'ann,a@example.com,"A\n'}))


@pytest.mark.parametrize("start", ["\n", "\r\n \r\n", ";;\n", "\nsep=;\n", "sep=;\n\n"])
def test_empty_lines_before_the_header_are_skipped(start: str) -> None:
    text = f"{start}url;filename\nhttps://h/a,b;c\n"
    [link] = links(read("csv", text.encode()))
    assert (link.url, link.name, link.line) == ("https://h/a,b", "c", text.count("\n"))
