"""Certificates of origins: private authorities, given and removed while the daemon runs."""

import os
from pathlib import Path

from support.daemon_process import DEFAULT_CONFIG, DaemonProcess, make_config
from support.old_authority import OldAuthority
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse


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
