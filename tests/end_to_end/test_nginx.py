"""Nginx as origin, over HTTP and TLS."""

import hashlib
import os
from pathlib import Path

import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.nginx_origin import NginxOrigin
from support.waiting import wait_until

from downloadd.transfer.resume import OVERLAP_BYTES

SIZES = [0, 1, 4095, 65_536, 1_048_575, 1_048_576, 1_048_577, 33_554_432, 314_572_800]


@pytest.fixture(scope="session")
def files(nginx: NginxOrigin) -> dict[int, str]:
    """Write random files of all sizes below the root of nginx; return their SHA-256 by size."""
    digests = {}
    for size in SIZES:
        digest = hashlib.sha256()
        with (nginx.www / f"{size}.bin").open("wb") as file:
            left = size
            while left:
                piece = os.urandom(min(left, 1 << 20))
                digest.update(piece)
                file.write(piece)
                left -= len(piece)
        os.utime(nginx.www / f"{size}.bin", (1_600_000_000, 1_600_000_000))
        digests[size] = digest.hexdigest()
    return digests


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_files_of_every_size_are_complete(
    tmp_path: Path, nginx: NginxOrigin, files: dict[int, str], scheme: str
) -> None:
    base = nginx.http if scheme == "http" else nginx.https
    async with DaemonProcess(tmp_path, environment={"SSL_CERT_FILE": str(nginx.ca)}) as daemon:
        for size, digest in files.items():
            status, answer = await daemon.fetch(scheme, f"{base}/{size}.bin", checksum=f"sha-256={digest}")
            assert (status, answer["message"]) == (201, "Download completed"), answer
            path = daemon.root / scheme / f"{size}.bin"
            with path.open("rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == digest
            assert path.stat().st_size == size
            assert path.stat().st_mtime == 1_600_000_000
            assert path.stat().st_mode & 0o777 == 0o644
        await wait_until(lambda: daemon.part_files() == [])


async def test_an_untrusted_certificate_is_refused_without_retries(
    daemon: DaemonProcess, nginx: NginxOrigin, files: dict[int, str]
) -> None:
    status, answer = await daemon.fetch("d", f"{nginx.https}/1.bin")
    assert (status, answer["error"]) == (502, "NETWORK_ERROR")
    assert "TLS" in answer["detail"]
    [ended] = await wait_until(lambda: [line for line in daemon.log_lines() if line["event"] == "download_ended"])
    assert ended["attempts"] == 1
    assert daemon.files() == {}


async def test_a_wrong_checksum_leaves_no_file(
    daemon: DaemonProcess, nginx: NginxOrigin, files: dict[int, str]
) -> None:
    status, answer = await daemon.fetch("d", f"{nginx.http}/65536.bin", checksum="sha-256=" + "0" * 64)
    assert (status, answer["error"]) == (422, "CHECKSUM_MISMATCH")
    assert files[65_536] in answer["detail"]
    assert daemon.files() == {}
    await wait_until(lambda: daemon.part_files() == [])


async def test_after_a_kill_only_the_rest_of_a_large_file_is_fetched(
    restartable: DaemonProcess, nginx: NginxOrigin, files: dict[int, str]
) -> None:
    await restartable.start()
    id = (await restartable.start_download("d", f"{nginx.http}/slow/33554432.bin", timeout="0"))["download_id"]
    await wait_until(lambda: [part for part in restartable.part_files() if part.stat().st_size > 1_500_000])
    await restartable.kill()
    [part] = restartable.part_files()
    kept = part.stat().st_size
    # From here on another URL of the same file is used, without the rate limit of nginx.
    await restartable.start()
    await restartable.request("POST", f"/api/v1/downloads/{id}/pause")
    status, _ = await restartable.request(
        "PATCH", f"/api/v1/downloads/{id}", json={"url": f"{nginx.http}/33554432.bin"}
    )
    assert status == 200
    await restartable.request("POST", f"/api/v1/downloads/{id}/resume")
    entry = await restartable.wait_until_finished(id)
    assert entry["status"] == "completed"
    with (restartable.root / "d" / "33554432.bin").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == files[33_554_432]
    answered = [line.split() for line in nginx.requests() if "GET /33554432.bin" in line]
    status_of_rest, length_of_rest = answered[-1][8:10]
    assert status_of_rest == "206"
    # The end of what was received is compared, because the URL has changed.
    assert int(length_of_rest) <= 33_554_432 - kept + OVERLAP_BYTES


async def test_credentials_for_an_origin_come_from_configuration_or_url(
    tmp_path: Path, nginx: NginxOrigin, files: dict[int, str]
) -> None:
    configured = DEFAULT_CONFIG + '[[credentials]]\nhost = "127.0.0.1"\nuser = "someone"\npassword = "secret"\n'
    (tmp_path / "with").mkdir()
    async with DaemonProcess(tmp_path / "with", config=configured) as daemon:
        assert (await daemon.fetch("d", f"{nginx.http}/auth/1.bin"))[0] == 201
        assert "secret" not in daemon.log.read_text()
    (tmp_path / "without").mkdir()
    async with DaemonProcess(tmp_path / "without") as daemon:
        status, answer = await daemon.fetch("d", f"{nginx.http}/auth/1.bin")
        assert (status, answer["error"]) == (502, "REMOTE_ERROR")
        assert "401" in answer["detail"]
        with_password = nginx.http.replace("://", "://someone:secret@")
        status, answer = await daemon.fetch("d", f"{with_password}/auth/1.bin")
        assert status == 201
        [entry, _] = await daemon.history()
        assert entry["url"] == f"{nginx.http}/auth/1.bin"
        assert "secret" not in daemon.log.read_text()
