"""Content without a length over TLS: complete only after the closure alert of the origin."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from security.malformed_responses import BODY, LONG_BODY
from support.daemon_process import DaemonProcess, make_config
from support.origin.tls import Authority
from support.waiting import CONDITION_TIMEOUT, wait_until

HEADS = {"http-1.1": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "http-1.0": b"HTTP/1.0 200 OK\r\n\r\n"}
BODIES = {"short": BODY, "long": LONG_BODY}


@contextmanager
def serve_tls_response(context: ssl.SSLContext, raw: bytes, *, with_alert: bool) -> Iterator[int]:
    """Yield the port of an origin that sends one response and closes with or without the closure alert."""

    def handle() -> None:
        plain, _ = server.accept()
        plain.settimeout(CONDITION_TIMEOUT)
        with context.wrap_socket(plain, server_side=True) as connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            connection.sendall(raw)
            if with_alert:
                connection.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(CONDITION_TIMEOUT)
        server_thread = threading.Thread(target=handle)
        server_thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server_thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls-1.2", "tls-1.3"])
async def test_only_a_closure_alert_makes_content_without_a_length_complete(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """RFC 9112, section 9.8: an attacker that cuts the connection must not be able to truncate the file."""
    authority = Authority()
    context = authority.server_context()
    context.maximum_version = version
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(authority.certificate)
    wrong: dict[str, object] = {}
    async with DaemonProcess(
        tmp_path, config=make_config(max_retries=0, stall_timeout=5), environment={"SSL_CERT_FILE": str(bundle)}
    ) as daemon:
        for head, start in HEADS.items():
            for size, body in BODIES.items():
                for with_alert in (True, False):
                    name = f"{head}-{size}-{'closed' if with_alert else 'cut'}"
                    with serve_tls_response(context, start + body, with_alert=with_alert) as port:
                        _, answer = await daemon.fetch(name, f"https://127.0.0.1:{port}/f", filename="f")
                    saved = daemon.root / name / "f"
                    if with_alert:
                        fits = answer["success"] and saved.read_bytes() == body
                    else:
                        fits = answer["error"] == "NETWORK_ERROR" and "cut" in answer["detail"] and not saved.exists()
                    if not fits:
                        wrong[name] = answer
        assert wrong == {}
        await wait_until(daemon.has_no_stray_part_file)
        assert "Traceback" not in daemon.log.read_text()
