"""Certificates of origins: private authorities, given and removed while the daemon runs."""

import os
import ssl
from pathlib import Path
from typing import Any

from support.daemon_process import DEFAULT_CONFIG, DaemonProcess, make_config
from support.old_authority import OldAuthority
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.origin.tls import Authority
from support.waiting import wait_until


async def test_a_private_authority_is_trusted_from_the_reload_on_that_names_it(tmp_path: Path) -> None:
    authority = OldAuthority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "empty.pem").write_bytes(b"")
    host = f'[[hosts]]\nhost = "127.0.0.1"\nca_file = "{tmp_path}/ca.pem"\n'
    # An interpreter whose default contexts are strict, as those of Python 3.13 are.
    (tmp_path / "strict").mkdir()
    (tmp_path / "strict/sitecustomize.py").write_text(
        "import ssl\n"
        "make = ssl.create_default_context\n"
        "def create_default_context(*arguments, **options):\n"
        "    context = make(*arguments, **options)\n"
        "    context.verify_flags |= ssl.VERIFY_X509_STRICT\n"
        "    return context\n"
        "ssl.create_default_context = create_default_context\n"
    )
    environment = {"PYTHONPATH": f"{tmp_path}/strict", "SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": "/nonexistent"}
    async with (
        Origin(tls=authority.server_context(tmp_path, "127.0.0.1")) as origin,
        DaemonProcess(tmp_path, environment=environment) as daemon,
    ):
        origin.script("/f", ScriptedResponse(size=1000))

        async def outcome() -> tuple[str, str]:
            _, answer = await daemon.fetch("d", origin.url("/f"))
            entry = await daemon.wait_until_finished(answer["download_id"])
            return entry["status"], entry["detail"] or ""

        status, detail = await outcome()
        assert status == "failed"
        assert "unable to get local issuer certificate" in detail
        assert "add its authority to downloads.ca_file" in detail

        await daemon.reload(make_config(ca_file=f"{tmp_path}/ca.pem"))
        assert (await outcome())[0] == "completed"

        await daemon.reload(make_config(ca_file=f"{tmp_path}/empty.pem"), "reload_refused")
        assert f"downloads.ca_file: {tmp_path}/empty.pem: no certificate in it" in daemon.log.read_text()
        assert (await outcome())[0] == "completed"

        await daemon.reload(DEFAULT_CONFIG + host)
        assert (await outcome())[0] == "completed"
        await daemon.reload(DEFAULT_CONFIG + host.replace("127.0.0.1", "other.example"))
        assert (await outcome())[0] == "failed"


async def test_a_host_gets_a_client_certificate_and_a_minimum_version(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "client.pem").write_bytes(authority.issue("client").private_key_and_cert_chain_pem.bytes())
    server = authority.server_context("127.0.0.1")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=authority.certificate.decode())
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    config = make_config(ca_file=f"{tmp_path}/ca.pem")
    host = '[[hosts]]\nhost = "127.0.0.1"\n'
    certificate = f'client_certificate = "{tmp_path}/client.pem"\n'
    async with Origin(tls=server) as origin, DaemonProcess(tmp_path, config=config) as daemon:
        origin.script("/f", ScriptedResponse(size=1000))

        async def outcome() -> tuple[str, str]:
            """Return the status after the first attempt."""
            id = (await daemon.start_download("d", origin.url("/f")))["download_id"]

            async def first_attempt() -> dict[str, Any] | None:
                entry = await daemon.get_download(id)
                return entry if entry["detail"] or entry["status"] == "completed" else None

            entry = await wait_until(first_attempt)
            return entry["status"], entry["detail"] or ""

        assert (await outcome())[0] == "retrying"
        await daemon.reload(config + host + certificate)
        assert (await outcome())[0] == "completed"
        await daemon.reload(config + host + certificate.replace("client.pem", "ca.pem"), "reload_refused")
        assert "expected a certificate and its private key in PEM" in daemon.log.read_text()
        # The first download is tried again.
        await origin.wait_finished("/f", times=2)
        await daemon.reload(config + host + certificate + 'min_tls_version = "1.3"\n')
        assert (await outcome())[0] == "retrying"
        assert len(origin.requests("/f")) == 2
