"""The rules for TLS as a client, in handshakes with real servers."""

import datetime as dt
import os
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from support.old_authority import OldAuthority
from support.origin.tls import Authority
from support.waiting import CONDITION_TIMEOUT

from downloadd.tls import (
    VERIFY_FLAGS,
    check_ca_file,
    check_client_certificate,
    describe_tls_error,
    load_client_certificate,
    make_client_context,
)


@pytest.fixture(autouse=True)
def _no_authorities_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def write_file(folder: Path, content: bytes, name: str = "ca.pem") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def connect(client: ssl.SSLContext, server: ssl.SSLContext | None, host: str = "files.example") -> str | None:
    """Do a handshake and return the chosen protocol; without a server's context, its end speaks HTTP without TLS."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(CONDITION_TIMEOUT)

    def serve() -> None:
        with suppress(OSError):
            if server is None:
                theirs.recv(1)
                theirs.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            else:
                with server.wrap_socket(theirs, server_side=True) as encrypted:
                    encrypted.recv(1)
        theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=host) as encrypted:
            return encrypted.selected_alpn_protocol()
    finally:
        thread.join()


def refusal(client: ssl.SSLContext, server: ssl.SSLContext | None, host: str = "files.example") -> str:
    with pytest.raises(ssl.SSLError) as caught:
        connect(client, server, host)
    return describe_tls_error(caught.value)


def test_the_rules_are_explicit_and_not_those_of_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ssl, "create_default_context")
    context = make_client_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_flags == VERIFY_FLAGS
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_http_1_1_is_the_only_protocol_that_is_offered(authority: Authority, tmp_path: Path) -> None:
    server = authority.server_context("files.example")
    server.set_alpn_protocols(["h2", "http/1.1"])
    client = make_client_context([write_file(tmp_path, authority.certificate)])
    assert connect(client, server) == "http/1.1"


def test_a_private_authority_without_key_identifiers_is_trusted(tmp_path: Path) -> None:
    old = OldAuthority()
    server = old.server_context(tmp_path, "files.example")
    client = make_client_context([write_file(tmp_path, old.certificate)])
    connect(client, server)
    # The certificate is one that makes a difference.
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(client, server)


def test_the_authorities_of_the_system_stay_trusted(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", write_file(tmp_path, authority.certificate, "system.pem"))
    other = Authority()
    client = make_client_context([write_file(tmp_path, other.certificate)])
    for each in (authority, other):
        connect(client, each.server_context("files.example"))


def test_every_given_file_is_trusted_with_all_of_its_certificates(tmp_path: Path) -> None:
    authorities = [Authority() for _ in range(3)]
    first = write_file(
        tmp_path, b"# H\xc3\xa4user\n" + authorities[0].certificate + authorities[1].certificate, "1.pem"
    )
    second = write_file(tmp_path, authorities[2].certificate, "2.pem")
    client = make_client_context([first, second])
    for each in authorities:
        connect(client, each.server_context("files.example"))


def test_an_intermediate_authority_or_the_certificate_itself_is_trusted_without_the_root(tmp_path: Path) -> None:
    intermediate = trustme.CA(parent_cert=trustme.CA())
    leaf = intermediate.issue_cert("files.example")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(server)
    for anchor in (intermediate.cert_pem, leaf.cert_chain_pems[0]):
        connect(make_client_context([write_file(tmp_path, anchor.bytes())]), server)


def test_an_untrusted_certificate_is_refused_with_the_remedy(authority: Authority) -> None:
    detail = refusal(make_client_context(), authority.server_context("files.example"))
    assert detail == (
        "the certificate is not trusted (unable to get local issuer certificate); "
        "add its authority to downloads.ca_file"
    )


@pytest.mark.parametrize(
    ("names", "host"), [(("other.example",), "files.example"), (("other.example", "10.0.0.1"), "127.0.0.1")]
)
def test_a_certificate_for_another_host_is_refused_with_the_name(
    authority: Authority, tmp_path: Path, names: tuple[str, ...], host: str
) -> None:
    client = make_client_context([write_file(tmp_path, authority.certificate)])
    detail = refusal(client, authority.server_context(*names), host)
    assert detail.startswith("the certificate is for another host (")
    assert f"not valid for '{host}'" in detail


@pytest.mark.parametrize(("days", "message"), [(-1, "out of date (certificate has expired)"), (1, "not valid yet")])
def test_a_certificate_out_of_its_time_is_refused_with_the_cause(tmp_path: Path, days: int, message: str) -> None:
    ca = trustme.CA()
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    times = [now + dt.timedelta(days=days + each) for each in (-0.5, 0.5)]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("files.example", not_before=times[0], not_after=times[1]).configure_cert(server)
    client = make_client_context([write_file(tmp_path, ca.cert_pem.bytes())])
    assert message in refusal(client, server)


def test_a_server_without_tls_is_named_as_such() -> None:
    assert refusal(make_client_context(), None) == "the server does not speak TLS on this port"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_a_server_with_an_old_version_of_tls_is_refused(authority: Authority, tmp_path: Path) -> None:
    server = authority.server_context("files.example")
    server.set_ciphers("DEFAULT:@SECLEVEL=0")
    server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1
    client = make_client_context([write_file(tmp_path, authority.certificate)])
    assert refusal(client, server) == (
        "the server supports no version of TLS that is accepted: 1.2 and later, or min_tls_version of [[hosts]]"
    )


def test_another_failure_has_its_reason() -> None:
    error = ssl.SSLError(1, "[SSL: BAD_LENGTH] bad length")
    assert describe_tls_error(error) == "TLS failed"
    error.reason = "BAD_LENGTH"
    assert describe_tls_error(error) == "TLS failed (bad length)"


PEM = Authority().certificate


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "no certificate in it", id="empty"),
        pytest.param(b"hello\n", "no certificate in it", id="text"),
        pytest.param(ssl.PEM_cert_to_DER_cert(PEM.decode()), "no certificate in it; expected PEM", id="DER"),
        pytest.param(
            trustme.CA().issue_cert("a.example").private_key_pem.bytes(), "no certificate in it", id="private key"
        ),
        pytest.param(PEM[: len(PEM) // 2], "damaged", id="cut"),
        pytest.param(PEM + PEM[: len(PEM) // 2], "damaged", id="second one cut"),
        pytest.param(PEM.replace(b"MII", b"!!!", 1), "damaged", id="not Base64"),
    ],
)
def test_a_file_without_usable_certificates_is_refused_by_its_path(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    file = write_file(tmp_path, content)
    for use in (check_ca_file, lambda each: make_client_context([each])):
        with pytest.raises(ValueError, match=problem) as caught:
            use(file)
        assert str(caught.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("name", "problem"), [("missing.pem", "cannot be read: No such file"), ("", "cannot be read: Is a directory")]
)
def test_a_file_that_cannot_be_read_is_refused_by_its_path(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_ca_file(str(tmp_path / name))


def test_a_file_of_certificates_is_accepted(tmp_path: Path) -> None:
    check_ca_file(write_file(tmp_path, PEM.replace(b"\n", b"\r\n")))


# -- client certificates -----------------------------------------------------------------------------------------------


def write_client(folder: Path, authority: Authority) -> tuple[str, str, str]:
    """Write a certificate, its key, and both together; return the paths."""
    leaf = authority.issue("client.example")
    certificate, key = leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()
    paths = []
    for name, content in (("client.pem", certificate), ("client.key", key), ("both.pem", certificate + key)):
        (folder / name).write_bytes(content)
        paths.append(str(folder / name))
    return paths[0], paths[1], paths[2]


def test_a_client_certificate_is_presented(authority: Authority, tmp_path: Path) -> None:
    certificate, key, both = write_client(tmp_path, authority)
    server = authority.server_context("files.example")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=authority.certificate.decode())
    # With TLS 1.2, the client learns of a refusal in the handshake.
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    for files in ((certificate, key), (both, "")):
        client = make_client_context([write_file(tmp_path, authority.certificate)])
        load_client_certificate(client, *files)
        check_client_certificate(*files)
        connect(client, server)
    assert "handshake failure" in refusal(make_client_context([write_file(tmp_path, authority.certificate)]), server)


def test_a_client_certificate_that_cannot_be_used_is_refused_with_the_reason(
    authority: Authority, tmp_path: Path
) -> None:
    certificate, key, _ = write_client(tmp_path, authority)
    other = tmp_path / "other"
    other.mkdir()
    _, other_key, _ = write_client(other, authority)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        load_pem_private_key(Path(key).read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    for files, reason in (
        ((certificate, other_key), "the key does not belong to the certificate"),
        ((certificate, ""), "expected a certificate and its private key in PEM"),
        ((key, key), "expected a certificate and its private key in PEM"),
        ((certificate, str(tmp_path / "missing")), "cannot be read: No such file or directory"),
        ((certificate, str(encrypted)), "the key is encrypted; use one without a password"),
    ):
        with pytest.raises(ValueError, match=reason):
            check_client_certificate(*files)


def test_a_missing_client_certificate_is_named() -> None:
    error = ssl.SSLError(1, "x")
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert describe_tls_error(error) == (
        "the server refuses the client certificate (certificate required); "
        "set client_certificate for the host in [[hosts]]"
    )
