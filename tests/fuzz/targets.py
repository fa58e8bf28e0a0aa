"""Parsers of foreign input as targets of a coverage-guided fuzzer.

`python tests/fuzz/targets.py TARGET [options of libFuzzer]`, such as `names -max_total_time=60`, or `all`. It exits
with a status other than 0 at the first failure: an undocumented exception, or a name that is not safe.

Each target is a function that imports its parsers, which the fuzzer changes to measure coverage, and returns a function
of the input.
"""

import io
import os
import sys
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

# As a program it has its own folder in the path alone.
sys.path.insert(0, str(Path(__file__).parents[1]))

Target = Callable[[bytes], None]

METALINK = b'<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a">'
VERSION_LINE = b'{"type":"version"}\n'
XML_CALL = b"<methodCall><methodName>aria2.addUri</methodName><params><param><value>"
XML_END = b"</value></param></params></methodCall>"
NOW = 1_700_000_000.0


def decode(data: bytes) -> str:
    """Return the text of a field, as the client of origins decodes it."""
    return data.decode("utf-8", "surrogateescape")


def fuzz_fields() -> Target:
    """Parse a response field."""
    with atheris.instrument_imports():
        from downloadd.transfer import fields
        from downloadd.transfer.content_disposition import parse_content_disposition

    def check(data: bytes) -> None:
        text = decode(data)
        parse_content_disposition(text)
        fields.parse_content_range(text)
        fields.parse_http_date(text, now=NOW)
        fields.parse_retry_after(text, now=NOW)
        fields.parse_digest_field(text)
        fields.parse_legacy_digest(text)
        fields.parse_entity_tag(text)
        length = fields.parse_content_length(text)
        assert length is None or length >= 0

    return check


def fuzz_responses() -> Target:
    """Parse a response at once and byte by byte: both find the same content, or both refuse."""
    with atheris.instrument_imports():
        from support.parsed_responses import parse_response

        from downloadd.origin.message_head import PROTOCOL_PREFIX

    def check(data: bytes) -> None:
        raw = PROTOCOL_PREFIX + b"1.1 200 OK\r\n" + data
        assert parse_response([raw]) == parse_response([raw[at : at + 1] for at in range(len(raw))])

    return check


def fuzz_imports() -> Target:
    """Read an import file."""
    with atheris.instrument_imports():
        from downloadd.imports.checksum_format import parse_checksum_list
        from downloadd.imports.importers import IMPORTERS
        from downloadd.imports.json_array import InvalidArrayError, read_elements
        from downloadd.imports.refusal import ImportRefusedError

    def check(data: bytes) -> None:
        archives = [*zips_with(data), tar_with(data)]
        for importer in IMPORTERS.values():
            for file in (data, METALINK + data, b"url,filename\n" + data, VERSION_LINE + data, *archives):
                with suppress(ImportRefusedError):
                    for _ in importer.read(io.BytesIO(file)):
                        pass
        with suppress(InvalidArrayError):
            assert all(raw for raw in read_elements((data,)))
        parse_checksum_list("SHA256SUMS", data.decode(errors="replace").splitlines())

    return check


def zips_with(data: bytes) -> list[bytes]:
    """Return exports of Slack with this content in one of their entries."""
    archives = []
    for name in ("users.json", "general/1.json", "general/1.csv"):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as target:
            target.writestr("channels.json", '[{"id": "C", "name": "general"}]')
            target.writestr("channels.csv", "general")
            target.writestr(name, data)
        archives.append(archive.getvalue())
    return archives


def tar_with(data: bytes) -> bytes:
    """Return an export of Zulip with this content in each of its entries."""
    exported = io.BytesIO()
    with tarfile.open(fileobj=exported, mode="w") as tar:
        for name, content in (("realm.json", data), ("attachment.json", data), ("messages-1.json", data)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return exported.getvalue()


def fuzz_names() -> Target:
    """Parse and sanitize names and directories."""
    with atheris.instrument_imports():
        from downloadd.errors import DownloadError
        from downloadd.storage.names import MAX_NAME_BYTES, parse_directory, parse_filename, sanitize_name

    def check(data: bytes) -> None:
        text = decode(data)
        name = sanitize_name(text)
        assert 0 < len(name.encode()) <= MAX_NAME_BYTES
        assert not set(name) & set("/\\\0")
        assert name not in {".", ".."}
        assert sanitize_name(name) == name
        assert parse_filename(name) == name
        for parse in (parse_filename, parse_directory):
            with suppress(DownloadError):
                parsed = parse(text)
                assert ".." not in parsed.split("/")
                assert not parsed.startswith("/")

    return check


def fuzz_urls() -> Target:
    """Parse URLs and request targets."""
    with atheris.instrument_imports():
        from downloadd.errors import DownloadError
        from downloadd.fronts.rest.target import parse_target
        from downloadd.policy.redaction import redact_url
        from downloadd.policy.url import parse_url

    def check(data: bytes) -> None:
        text = decode(data)
        parse_target(text)
        redact_url(text)
        with suppress(DownloadError):
            url = parse_url(text)
            assert url.scheme in {"http", "https"}
            assert url.text.isascii()

    return check


def fuzz_rpc() -> Target:
    """Read a message in JSON and in XML, and answer it; find tokens in what is not parsed."""
    with atheris.instrument_imports():
        from downloadd.fronts.aria2.access import tokens
        from downloadd.fronts.aria2.calls import Outcome
        from downloadd.fronts.aria2.errors import RpcError
        from downloadd.fronts.aria2.wire import json_rpc, xml_rpc
        from downloadd.fronts.rest.target import parse_target

    def check(data: bytes) -> None:
        values = parse_target("/jsonrpc?" + decode(data)).query.values
        for message in (json_rpc.parse_message(data), json_rpc.parse_query(values)):
            outcomes = json_rpc.match_outcomes(message, [Outcome(result="OK") for _ in message.calls])
            json_rpc.parse_message(json_rpc.encode_answer(message, outcomes))
            tokens.collect_tokens(message.calls)
        with suppress(RpcError):
            json_rpc.parse_callback(values)
        for document in (data, XML_CALL + data + XML_END):
            with suppress(RpcError):
                call = xml_rpc.parse_call(document)
                xml_rpc.encode_outcome(Outcome(result=[each for each in call.params if not isinstance(each, bytes)]))
                tokens.collect_tokens([call])
        tokens.scan_json(data)
        tokens.scan_xml(data)

    return check


def fuzz_cookies() -> Target:
    """Store lines of Set-Cookie, and select cookies for later requests."""
    with atheris.instrument_imports():
        from support.cookie_jars import make_jar

        from downloadd.policy.url import parse_url
        from downloadd.request_fields import INVALID_IN_VALUE

    def check(data: bytes) -> None:
        lines = decode(data).split("\n")
        origin = parse_url("https://a.b.example/one/two")
        jar = make_jar()
        jar.store(origin, lines)
        jar.store(parse_url("http://b.example/one"), lines)
        for name, value in jar.select(origin):
            assert not INVALID_IN_VALUE.search(name + value)
            assert not set(name + value) & {";"}
        assert jar.select(parse_url("https://other.example/one/two")) == []

    return check


def fuzz_challenges() -> Target:
    """Parse lines of WWW-Authenticate, answer a challenge for Digest, and parse Authentication-Info."""
    with atheris.instrument_imports():
        from downloadd.origin.authentication import Authenticator, ProtectionSpace, describe_refusal, select_digest
        from downloadd.origin.challenges import parse_challenges, parse_parameters
        from downloadd.request_fields import INVALID_IN_VALUE, Credentials

    def check(data: bytes) -> None:
        text = decode(data)
        lines = [*text.split("\n"), f'Digest realm="r", nonce="n", {text}']
        challenges = parse_challenges(lines)
        assert describe_refusal(challenges, is_authorized=False)
        challenge = select_digest(challenges)
        space = ProtectionSpace(Credentials(user="user", password="password"), make_nonce=lambda: "nonce")
        if challenge is not None:
            answer = Authenticator(space).answer(challenge, "GET", "/f")
            assert answer is not None
            assert not INVALID_IN_VALUE.search(answer)
            parameters = parse_parameters(answer.removeprefix("Digest "))
            assert parameters["nonce"] == challenge.nonce
            assert parameters["realm"] == challenge.realm
        space.note_info(", ".join(lines))
        assert not INVALID_IN_VALUE.search(space.authorize("GET", "/f"))

    return check


def fuzz_netrc() -> Target:
    """Read a netrc file."""
    with atheris.instrument_imports():
        from downloadd.origin.netrc_logins import read_netrc
        from downloadd.policy.url import format_host, parse_host

    def check(data: bytes) -> None:
        fd = os.memfd_create("netrc")
        try:
            os.fchmod(fd, 0o600)
            os.write(fd, data)
            with suppress(ValueError):
                for host, login in read_netrc(f"/proc/self/fd/{fd}").items():
                    assert parse_host(format_host(host)) == host
                    assert login.user
        finally:
            os.close(fd)

    return check


TARGETS: dict[str, Callable[[], Target]] = {
    "challenges": fuzz_challenges,
    "cookies": fuzz_cookies,
    "fields": fuzz_fields,
    "imports": fuzz_imports,
    "names": fuzz_names,
    "netrc": fuzz_netrc,
    "responses": fuzz_responses,
    "rpc": fuzz_rpc,
    "urls": fuzz_urls,
}

ALL = "all"
"""Name for all targets, one after the other."""


def fuzz(target: Target) -> None:
    """Fuzz a target, with the options of the command; end the process."""
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


def fuzz_all() -> None:
    """Fuzz each target in a fork of a process that has all parsers: to change them takes most of the time."""
    targets = {name: make() for name, make in TARGETS.items()}
    for name, target in targets.items():
        pid = os.fork()
        if not pid:
            fuzz(target)
        _, status = os.waitpid(pid, 0)
        if status:
            sys.exit(f"the target {name} failed")


if __name__ == "__main__":
    chosen = sys.argv.pop(1)
    if chosen == ALL:
        fuzz_all()
    else:
        fuzz(TARGETS[chosen]())
