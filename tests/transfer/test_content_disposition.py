import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.content_disposition_cases import CASES, UNACCEPTABLE

from downloadd.storage.names import suggest_name
from downloadd.transfer.content_disposition import parse_content_disposition

UNTRUSTED_TEXT = st.text(st.characters(codec=None), max_size=80)
"""Anything that decoding with `surrogateescape` can give, and more."""


def octets(raw: bytes) -> str:
    """Return a field value as the client library returns it."""
    return raw.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        # The cases and names of the public test suite for RFC 6266 at greenbytes.de/tech/tc2231.
        pytest.param("inline", None, id="inlonly"),
        pytest.param('"inline"', None, id="inlonlyquoted"),
        pytest.param('inline; filename="foo.html"', "foo.html", id="inlwithasciifilename"),
        pytest.param('inline; filename="Not an attachment!"', "Not an attachment!", id="inlwithfnattach"),
        pytest.param("attachment", None, id="attonly"),
        pytest.param("ATTACHMENT", None, id="attonlyucase"),
        pytest.param('attachment; filename="foo.html"', "foo.html", id="attwithasciifilename"),
        pytest.param(
            'attachment; filename="00000000001111111111222222222233333"',
            "00000000001111111111222222222233333",
            id="attwithasciifilename35",
        ),
        pytest.param(r'attachment; filename="f\oo.html"', "foo.html", id="attwithasciifnescapedchar"),
        pytest.param(
            r'attachment; filename="\"quoting\" tested.html"', '"quoting" tested.html', id="attwithasciifnescapedquote"
        ),
        pytest.param(
            'attachment; filename="Here\'s a semicolon;.html"', "Here's a semicolon;.html", id="attwithquotedsemicolon"
        ),
        pytest.param('attachment; foo="bar"; filename="foo.html"', "foo.html", id="attwithfilenameandextparam"),
        pytest.param(r'attachment; foo="\"\\";filename="foo.html"', "foo.html", id="attwithfilenameandextparamescaped"),
        pytest.param('attachment; FILENAME="foo.html"', "foo.html", id="attwithasciifilenameucase"),
        pytest.param("attachment; filename=foo.html", "foo.html", id="attwithasciifilenamenq"),
        pytest.param("attachment; filename=foo,bar.html", "foo,bar.html", id="attwithtokfncommanq"),
        pytest.param("attachment; filename=foo.html ;", "foo.html", id="attwithasciifilenamenqs"),
        pytest.param("attachment; ;filename=foo", "foo", id="attemptyparam"),
        pytest.param("attachment; filename=foo bar.html", "foo bar.html", id="attwithasciifilenamenqws"),
        pytest.param("attachment; filename='foo.bar'", "'foo.bar'", id="attwithfntokensq"),
        pytest.param(octets(b'attachment; filename="foo-\xe4.html"'), "foo-ä.html", id="attwithisofnplain"),
        pytest.param(octets(b'attachment; filename="foo-\xc3\xa4.html"'), "foo-ä.html", id="attwithutf8fnplain"),
        pytest.param('attachment; filename="foo-%41.html"', "foo-%41.html", id="attwithfnrawpctenca"),
        pytest.param('attachment; filename="50%.html"', "50%.html", id="attwithfnusingpct"),
        pytest.param(r'attachment; filename="foo-%\41.html"', "foo-%41.html", id="attwithfnrawpctencaq"),
        pytest.param('attachment; name="foo-%41.html"', None, id="attwithnamepct"),
        pytest.param(octets(b'attachment; filename="\xe4-%41.html"'), "ä-%41.html", id="attwithfilenamepctandiso"),
        pytest.param('attachment; filename ="foo.html"', "foo.html", id="attwithasciifilenamews1"),
        pytest.param('attachment; filename="foo.html"; filename="bar.html"', "foo.html", id="attwith2filenames"),
        pytest.param("attachment; filename=foo[1](2).html", "foo[1](2).html", id="attfnbrokentoken"),
        pytest.param(octets(b"attachment; filename=foo-\xe4.html"), "foo-ä.html", id="attfnbrokentokeniso"),
        pytest.param(octets(b"attachment; filename=foo-\xc3\xa4.html"), "foo-ä.html", id="attfnbrokentokenutf"),
        pytest.param("filename=foo.html", "foo.html", id="attmissingdisposition"),
        pytest.param("; filename=foo.html", "foo.html", id="emptydisposition"),
        pytest.param("inline; attachment; filename=foo.html", "foo.html", id="attandinline"),
        pytest.param('attachment; filename="foo.html".txt', "foo.html", id="attbrokenquotedfn"),
        pytest.param('attachment; filename="bar', "bar", id="attbrokenquotedfn2"),
        pytest.param("attachment; foo=foo filename=bar", None, id="attmissingdelim"),
        pytest.param("attachment filename=bar", None, id="attmissingdelim3"),
        pytest.param("filename=foo.html; attachment", "foo.html", id="attreversed"),
        pytest.param("attachment; xfilename=foo.html", None, id="attconfusedparam"),
        pytest.param('attachment; filename="/foo.html"', "/foo.html", id="attabspath"),
        pytest.param(r'attachment; filename="\\foo.html"', r"\foo.html", id="attabspathwin"),
        pytest.param('attachment; creation-date="Wed, 12 Feb 1997 16:29:51 -0500"', None, id="attcdate"),
        pytest.param("foobar", None, id="dispext"),
        pytest.param('foobar; filename="foo.html"', "foo.html", id="dispext with a name"),
        pytest.param('attachment; example="filename=example.txt"', None, id="dispextbadfn"),
        pytest.param("attachment; filename*=iso-8859-1''foo-%E4.html", "foo-ä.html", id="attwithisofn2231iso"),
        pytest.param("attachment; filename*=UTF-8''foo-%c3%a4-%e2%82%ac.html", "foo-ä-€.html", id="attwithfn2231utf8"),
        pytest.param("attachment; filename*=''foo-%c3%a4.html", "foo-ä.html", id="attwithfn2231noc"),
        pytest.param(
            "attachment; filename*=UTF-8''foo-a%cc%88.html", "foo-a\N{COMBINING DIAERESIS}.html", id="2231utf8comp"
        ),
        pytest.param("attachment; filename*=utf-8''foo-%E4.html", None, id="attwithfn2231iso-bad"),
        pytest.param("attachment; filename *=UTF-8''foo-%c3%a4.html", None, id="attwithfn2231ws1"),
        pytest.param("attachment; filename*= UTF-8''foo-%c3%a4.html", "foo-ä.html", id="attwithfn2231ws2"),
        pytest.param("attachment; filename* =UTF-8''foo-%c3%a4.html", "foo-ä.html", id="attwithfn2231ws3"),
        pytest.param("attachment; filename*=\"UTF-8''foo-%c3%a4.html\"", "foo-ä.html", id="attwithfn2231quot"),
        pytest.param('attachment; filename*="foo%20bar.html"', "foo bar.html", id="attwithfn2231quot2"),
        pytest.param("attachment; filename*=UTF-8'foo-%c3%a4.html", "foo-ä.html", id="attwithfn2231singleqmissing"),
        pytest.param("attachment; filename*=UTF-8''foo%", None, id="attwithfn2231nbadpct1"),
        pytest.param("attachment; filename*=UTF-8''f%oo.html", None, id="attwithfn2231nbadpct2"),
        pytest.param("attachment; filename*=UTF-8''A-%2541.html", "A-%41.html", id="attwithfn2231dpct"),
        pytest.param("attachment; filename*=UTF-8''%5cfoo.html", r"\foo.html", id="attwithfn2231abspathdisguised"),
        pytest.param('attachment; filename*0="foo."; filename*1="html"', "foo.html", id="attfncont"),
        pytest.param(
            "attachment; filename*0*=UTF-8''foo-%c3%a4; filename*1=\".html\"", "foo-ä.html", id="attfncontenc"
        ),
        pytest.param(
            "attachment; filename=\"foo-ae.html\"; filename*=UTF-8''foo-%c3%a4.html", "foo-ä.html", id="attfnboth"
        ),
        pytest.param(
            "attachment; filename*=UTF-8''foo-%c3%a4.html; filename=\"foo-ae.html\"", "foo-ä.html", id="attfnboth2"
        ),
        pytest.param(
            "attachment; filename*0*=ISO-8859-15''euro-sign%3d%a4; filename*=ISO-8859-1''currency-sign%3d%a4",
            "currency-sign=¤",
            id="attfnboth3",
        ),
        pytest.param('attachment; foobar=x; filename="foo.html"', "foo.html", id="attnewandfn"),
        pytest.param("attachment; filename==?ISO-8859-1?Q?foo-=E4.html?=", "foo-ä.html", id="attrfc2047token"),
        # RFC 6266, section 5, and RFC 8187, section 3.2.3.
        pytest.param('INLINE; FILENAME= "an example.html"', "an example.html", id="RFC 6266, 5"),
        pytest.param(
            "attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates", "€ rates", id="RFC 6266, 5: both"
        ),
        pytest.param("attachment; filename*=iso-8859-1'en'%A3%20rates", "£ rates", id="RFC 8187: language"),
        # Beyond them.
        pytest.param("attachment; filename=\"a.txt\"; filename*=UTF-8''%E4", "a.txt", id="broken, so the plain one"),
        pytest.param("attachment; filename=a; filename*=koi9''%80", "a", id="unknown charset"),
        pytest.param("attachment; filename=a; filename*=UTF-8''", "a", id="empty extended one"),
        pytest.param("attachment; filename*=UTF-8''%FF; filename*=UTF-8''b", "b", id="the first that can be decoded"),
        pytest.param("attachment; filename*=UTF-8''a b.txt", "a b.txt", id="extended, raw blank"),
        pytest.param(octets("attachment; filename*=UTF-8''ä.txt".encode()), "ä.txt", id="extended, raw UTF-8"),
        pytest.param(octets(b"attachment; filename*=ISO-8859-1''\xe4.txt"), None, id="extended, raw ISO-8859-1"),
        pytest.param("attachment; filename=\"a\" filename*=UTF-8''b; x=y", "a", id="more behind a closing quote"),
        pytest.param('attachment; filename=""', None, id="empty"),
        pytest.param("attachment; filename=", None, id="no value"),
        pytest.param('attachment; filename=""; filename=b', "b", id="the first that has a value"),
        pytest.param('attachment; filename="a\\', "a\\", id="ends in a backslash"),
        pytest.param('attachment;filename="a.txt";size=3', "a.txt", id="no blanks"),
        pytest.param(octets('attachment; filename="日本語.txt"'.encode()), "日本語.txt", id="raw UTF-8, three octets"),
        pytest.param('attachment; filename="../../etc/passwd"', "../../etc/passwd", id="not made safe here"),
        pytest.param("attachment; filename=\ud800x", "?x", id="text that no octets decode to"),
        pytest.param("", None, id="empty field"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_the_name_in_a_content_disposition_is_parsed(text: str | None, name: str | None) -> None:
    assert parse_content_disposition(text) == name


DISPOSITIONS = st.lists(
    st.sampled_from(
        [
            "attachment",
            "; ",
            ";",
            "filename",
            "filename*",
            "=",
            '"',
            "\\",
            "UTF-8''",
            "iso-8859-1''",
            "%",
            "%e4",
            "%c3%a4",
        ]
    )
    | st.text(st.characters(codec=None), max_size=3),
    max_size=12,
).map("".join)


@given(DISPOSITIONS | UNTRUSTED_TEXT | st.binary(max_size=60).map(octets))
def test_a_foreign_disposition_never_crashes_and_its_name_has_utf8(text: str) -> None:
    name = parse_content_disposition(text)
    assert name is None or name.encode()


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n"), min_size=1, max_size=40)
LITERAL_NAMES = NAMES.filter(lambda name: not re.search(r"%[0-9A-Fa-f]{2}|=\?|^[A-Za-z]:\\\\|^\\\\", name))
"""Names that a server cannot have meant otherwise: without encodings and paths of Windows."""


@given(NAMES)
def test_any_name_survives_an_extended_parameter(name: str) -> None:
    assert parse_content_disposition(f"attachment; filename=x; filename*=UTF-8''{quote(name, safe='')}") == name


@given(LITERAL_NAMES)
def test_any_name_survives_a_quoted_string(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_content_disposition(octets(f'attachment; filename="{quoted}"; x=y'.encode())) == name


@pytest.mark.parametrize(
    "piece",
    [
        *("a;", "\\", '"', ";", "=", " ", "filename=x;", 'filename="', 'x="y;', '"x;', "';", "%", "%41", "%c3", "=?"),
        *(
            "filename*0=x;",
            "filename*=x;",
            "filename*=UTF-8''x;",
            "filename*=a'b'",
            "=?utf-8?Q?a?= ",
            "\udcff",
            "\udc81\\",
        ),
    ],
)
@pytest.mark.parametrize(
    "before", ["", 'filename="', "filename=", "filename*=UTF-8''", 'filename*0="', 'filename="C:\\']
)
def test_a_long_field_is_parsed_in_linear_time(before: str, piece: str) -> None:
    name = parse_content_disposition(before + piece * 20_000)
    assert name is None or name.encode()


def test_a_field_of_many_parameters_is_parsed() -> None:
    assert parse_content_disposition("a;" * 100_000 + "filename=x") == "x"
    sections = "".join(f"filename*{number}=x;" for number in range(9_999))
    assert parse_content_disposition(sections) == "x" * 9_999


# ----- the published tests


def as_text(field: str | bytes) -> str:
    return octets(field) if isinstance(field, bytes) else field


def final_name(name: str | None) -> str:
    """Return the name of the file that is saved; one without a name is called by the URL."""
    return suggest_name(None, name, "url")


def test_the_names_are_those_of_browsers_except_for_the_listed_and_explained_ones() -> None:
    unacceptable = {
        field
        for field, names in CASES
        if final_name(parse_content_disposition(as_text(field))) not in set(map(final_name, names))
    }
    assert unacceptable == set(UNACCEPTABLE)
    assert (len(CASES) - len(unacceptable)) / len(CASES) > 370 / 384


def test_no_case_is_listed_twice_and_there_are_enough() -> None:
    fields = [as_text(field) for field, _ in CASES]
    assert len(set(fields)) == len(fields) >= 384
