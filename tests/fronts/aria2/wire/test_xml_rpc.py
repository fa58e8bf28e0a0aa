"""XML-RPC: calls in every form that clients send, answers that the client of the standard library reads."""

import xmlrpc.client
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.fronts.aria2.calls import Call, EncodedList, Outcome
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.wire.xml_rpc import MAX_DEPTH, XmlCallParser, encode_fault, encode_outcome, parse_call

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


def call(*values: str) -> bytes:
    """Return a call with parameters that are XML."""
    params = "".join(f"<param><value>{each}</value></param>" for each in values)
    return f"<methodCall><methodName>aria2.a</methodName><params>{params}</params></methodCall>".encode()


def read_answer(data: bytes) -> Any:
    """Return the value of an answer as the standard library reads it."""
    ((value,), _) = xmlrpc.client.loads(data)
    return value


@pytest.mark.parametrize(
    ("xml", "value"),
    [
        ("token:x", "token:x"),
        ("", ""),
        (" a ", " a "),
        ("<string> a </string>", " a "),
        ("<string/>", ""),
        (" <string>a</string>\n", "a"),
        ("<i4>-5</i4>", -5),
        ("<int> +7 </int>", 7),
        ("<i8>99999999999</i8>", 99999999999),
        ("<boolean>1</boolean>", True),
        ("<boolean>0</boolean>", False),
        ("<double>-1.5</double>", -1.5),
        ("<base64>AP8B\n</base64>", b"\x00\xff\x01"),
        ("<base64/>", b""),
        ("<nil/>", None),
        ("<dateTime.iso8601>20260101T00:00:00</dateTime.iso8601>", "20260101T00:00:00"),
        ("<array><data/></array>", []),
        ("<array><data><value>a</value><value><int>1</int></value></data></array>", ["a", 1]),
        ("<struct/>", {}),
        ("<struct><member><name>dir</name><value>/a</value></member></struct>", {"dir": "/a"}),
        ("&lt;&#65;&amp;", "<A&"),
        ("<![CDATA[<a>&]]>", "<a>&"),
    ],
)
def test_a_parameter_has_the_value_of_its_type(xml: str, value: Any) -> None:
    found = parse_call(call(xml))
    assert found == Call(method="aria2.a", params=[value])
    assert type(found.params[0]) is type(value)


@pytest.mark.parametrize("data", [b"<methodCall/>", b'<?xml version="1.0"?>\n<methodCall><params/></methodCall>'])
def test_a_call_without_a_method_calls_one_without_a_name(data: bytes) -> None:
    assert parse_call(data) == Call(method="", params=[])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_a_document_may_have_another_encoding(encoding: str) -> None:
    document = f'<?xml version="1.0" encoding="{encoding}"?>' + call("é").decode()
    assert parse_call(document.encode(encoding)).params == ["é"]


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"x",
            b"{}",
            b"<methodCall>",
            b"<methodCall></methodcall>",
            b"<methodCall/><a/>",
            b"\xff\xfe",
            b"<methodCall>\xff</methodCall>",
        ),
        call("&nbsp;"),
        b'<?xml version="1.0" encoding="unknown"?><methodCall/>',
        b'<?xml version="1.0" encoding="shift_jis"?><methodCall/>',
        b"<!DOCTYPE methodCall><methodCall/>",
        b'<!DOCTYPE methodCall SYSTEM "file:///etc/passwd"><methodCall/>',
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + call("&b;"),
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + call("&b;"),
        b'<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1/"> %b;]><methodCall/>',
        b'<!DOCTYPE a [<!ENTITY b "cccccccc"><!ENTITY d "&b;&b;&b;&b;">]>' + call("&d;"),
    ],
)
def test_what_is_not_plain_xml_is_a_parse_error(data: bytes) -> None:
    with pytest.raises(RpcError, match="Parse error"):
        parse_call(data)


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        b"<methodResponse/>",
        b"<methodCall>text</methodCall>",
        b"<methodCall><value/></methodCall>",
        b"<methodCall><params><value/></params></methodCall>",
        call("<int>x</int>"),
        call("<int>1.5</int>"),
        call("<int/>"),
        call(f"<int>{'1' * 101}</int>"),
        call("<int>\u0661</int>"),
        call("<boolean>2</boolean>"),
        call("<double>x</double>"),
        call("<base64>é</base64>"),
        call("<base64>a</base64>"),
        call("<unknown/>"),
        call("<value/>"),
        call("<string/><string/>"),
        call("<string><int>1</int></string>"),
        call("<array/>"),
        call("<array><data/><data/></array>"),
        call("<array><value/></array>"),
        call("<array>a<data/></array>"),
        call("<struct><member><name>a</name></member></struct>"),
        call("<struct><member><value>a</value></member></struct>"),
        call("<struct><member/></struct>"),
        call("<struct><member><value><int>1</int></value><name>a</name></member></struct>"),
    ],
)
def test_xml_that_is_not_a_call_is_an_invalid_request(data: bytes) -> None:
    with pytest.raises(RpcError, match="Invalid Request"):
        parse_call(data)


def test_the_depth_of_elements_is_limited() -> None:
    def nested(levels: int) -> bytes:
        return call("<array><data><value>" * levels + "</value></data></array>" * levels)

    deepest = (MAX_DEPTH - 4) // 3
    parse_call(nested(deepest))
    with pytest.raises(RpcError, match="Invalid Request"):
        parse_call(nested(deepest + 1))
    with pytest.raises(RpcError):
        parse_call(b"<a>" * 100_000)


# -- answers -----------------------------------------------------------------------------------------------------------


def test_an_answer_has_the_types_of_its_values() -> None:
    encoded = encode_outcome(Outcome(result={"gid": "a", "files": [], "position": 1, "known": True}))
    assert encoded == (
        b'<?xml version="1.0" encoding="UTF-8"?><methodResponse><params><param><value><struct>'
        b"<member><name>gid</name><value><string>a</string></value></member>"
        b"<member><name>files</name><value><array><data></data></array></value></member>"
        b"<member><name>position</name><value><int>1</int></value></member>"
        b"<member><name>known</name><value><boolean>1</boolean></value></member>"
        b"</struct></value></param></params></methodResponse>"
    )


def test_a_fault_has_code_and_text() -> None:
    with pytest.raises(xmlrpc.client.Fault) as raised:
        read_answer(encode_outcome(Outcome(error=RpcError(1, "GID a is <not> found"))))
    assert (raised.value.faultCode, raised.value.faultString) == (1, "GID a is <not> found")


def test_an_error_of_the_envelope_has_the_code_of_every_fault() -> None:
    with pytest.raises(xmlrpc.client.Fault) as raised:
        read_answer(encode_fault(RpcError(-32700, "Parse error.")))
    assert raised.value.faultCode == 1


def test_a_call_that_failed_within_a_result_is_a_struct_like_a_fault() -> None:
    encoded = encode_outcome(Outcome(result=[["OK"], RpcError(1, "Unauthorized")]))
    assert read_answer(encoded) == [["OK"], {"faultCode": 1, "faultString": "Unauthorized"}]


def test_characters_that_xml_cannot_contain_are_replaced() -> None:
    assert (
        read_answer(encode_outcome(Outcome(result="a\0\x1b\ud800\ufffe\t\n<é😀")))
        == "a\ufffd\ufffd\ufffd\ufffd\t\n<é😀"
    )


# -- properties --------------------------------------------------------------------------------------------------------


@given(st.lists(VALUES, max_size=4))
def test_parameters_of_the_standard_client_come_through_unchanged(params: list[Any]) -> None:
    assert parse_call(xmlrpc.client.dumps(tuple(params), "a").encode()) == Call(method="a", params=params)


@given(VALUES)
def test_results_come_through_to_the_standard_client_unchanged(value: Any) -> None:
    assert read_answer(encode_outcome(Outcome(result=value))) == value


@given(st.lists(VALUES, max_size=4), st.integers(1, 50))
def test_a_document_in_pieces_is_the_same_call(params: list[Any], size: int) -> None:
    document = xmlrpc.client.dumps(tuple(params), "a").encode()
    parser = XmlCallParser()
    for start in range(0, len(document), size):
        parser.feed(document[start : start + size])
    assert parser.close() == parse_call(document)


TAGS = [
    "methodCall",
    "methodName",
    "params",
    "param",
    "value",
    "int",
    "array",
    "data",
    "struct",
    "member",
    "name",
    "base64",
]


@given(
    st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            [f"<{each}>" for each in TAGS] + [f"</{each}>" for each in TAGS] + ["1", "&lt;", "<!--", "-->"]
        ),
        max_size=30,
    ).map(lambda parts: "<methodCall>".join(["", "".join(parts)]).encode())
)
def test_any_bytes_are_a_call_or_an_error(data: bytes) -> None:
    with suppress(RpcError):
        assert isinstance(parse_call(data), Call)


def test_an_encoded_list_is_an_array_of_structs_also_within_a_multicall() -> None:
    structs = [{"gid": "<a>", "files": [{"index": "1"}]}, {}]
    rows = EncodedList(structs)
    assert read_answer(encode_outcome(Outcome(result=rows))) == structs
    assert read_answer(encode_outcome(Outcome(result=[[rows], "OK"]))) == [[structs], "OK"]
