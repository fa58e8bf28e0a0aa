import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from downloadd.config import ServerConfig
from downloadd.daemon.tls import ServerTls
from downloadd.errors import StartupError


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def write_certificate(authority: trustme.CA, folder: Path, name: str = "localhost") -> ServerConfig:
    """Write a certificate with its key in one file."""
    certificate = authority.issue_cert(name)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    return ServerConfig(tls_cert=str(folder / f"{name}.pem"))


def served_certificate(tls: ServerTls, authority: trustme.CA) -> str:
    """Return the names in the certificate that a client gets."""
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.check_hostname = False
    left, right = socket.socketpair()

    def serve() -> None:
        with tls.context.wrap_socket(right, server_side=True) as served:
            served.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(left) as connected:
        certificate = connected.getpeercert()
        connected.send(b"x")
    thread.join()
    assert certificate is not None
    return str(certificate["subjectAltName"])


def test_without_a_certificate_there_is_no_tls() -> None:
    assert ServerTls.from_config(ServerConfig()) is None


def test_a_reload_replaces_the_certificate_and_a_failed_one_keeps_it(authority: trustme.CA, tmp_path: Path) -> None:
    tls = ServerTls.from_config(write_certificate(authority, tmp_path))
    assert tls is not None
    assert "'localhost'" in served_certificate(tls, authority)
    tls.reload(write_certificate(authority, tmp_path, "other.example"))
    assert "'other.example'" in served_certificate(tls, authority)
    (tmp_path / "garbage.pem").write_text("nothing")
    with pytest.raises(StartupError, match="does not hold a certificate and key in PEM"):
        tls.reload(ServerConfig(tls_cert=str(tmp_path / "garbage.pem")))
    assert "'other.example'" in served_certificate(tls, authority)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be read: No such file") as caught:
        ServerTls(ServerConfig(tls_cert=str(tmp_path / "missing.pem")))
    assert len(caught.value.message.splitlines()) == 1
