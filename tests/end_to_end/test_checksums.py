"""Origin digests, and the checksums in the history."""

import base64
import hashlib
from pathlib import Path

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes, expected_sha256
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

SIZE = 5 << 20
WHOLE = expected_bytes(0, 0, SIZE)
RIGHT = base64.b64encode(hashlib.sha256(WHOLE).digest()).decode()
WRONG = base64.b64encode(hashlib.sha256(b"something else").digest()).decode()


@pytest.mark.parametrize(
    "field",
    [
        ("Repr-Digest", f"sha-256=:{RIGHT}:"),
        ("Content-Digest", f"sha-256=:{RIGHT}:"),
        ("Digest", f"SHA-256={RIGHT}"),
        ("Repr-Digest", "sha-256=:no base64:"),
        ("Repr-Digest", "something-else=:AAAA:"),
    ],
)
async def test_a_file_that_matches_the_origin_digest_is_saved(
    daemon: DaemonProcess, origin: Origin, field: tuple[str, str]
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, headers=[field]))
    status, answer = await daemon.fetch("d", origin.url("/f"))
    assert (status, answer["message"]) == (201, "Download completed")
    assert daemon.files() == {"d/f": WHOLE}
    [entry] = await daemon.history()
    assert entry["checksum"] == (f"sha-256={expected_sha256(0, SIZE)}" if RIGHT in field[1] else None)


@pytest.mark.parametrize(
    "field",
    [
        ("Repr-Digest", f"sha-256=:{WRONG}:"),
        ("Content-Digest", f"md5=:AAAA:, sha-256=:{WRONG}:"),
        ("Digest", f"sha-256={WRONG}"),
    ],
)
async def test_a_file_that_does_not_match_the_origin_digest_is_not_published(
    daemon: DaemonProcess, origin: Origin, field: tuple[str, str]
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, headers=[field]))
    status, answer = await daemon.fetch("d", origin.url("/f"))
    assert (status, answer["error"]) == (422, "CHECKSUM_MISMATCH")
    assert f"the origin's {field[0]} says sha-256=" in answer["detail"]
    await wait_until(lambda: daemon.part_files() == [])
    assert daemon.files() == {}
    assert len(origin.requests("/f")) == 1


async def test_the_digest_of_a_range_is_not_compared_with_the_file(daemon: DaemonProcess, origin: Origin) -> None:
    cut = SIZE // 2
    rest = base64.b64encode(hashlib.sha256(WHOLE[cut:]).digest()).decode()
    origin.script(
        "/f",
        [
            ScriptedResponse(size=SIZE, etag='"a"', cut_after=cut),
            ScriptedResponse(
                size=SIZE,
                etag='"a"',
                headers=[("Content-Digest", f"sha-256=:{rest}:"), ("Repr-Digest", f"sha-256=:{RIGHT}:")],
            ),
        ],
    )
    status, answer = await daemon.fetch("d", origin.url("/f"))
    assert status == 201, answer
    assert daemon.files() == {"d/f": WHOLE}
    [entry] = await daemon.history()
    assert entry["checksum"] == f"sha-256={expected_sha256(0, SIZE)}"


@pytest.mark.parametrize("size", [0, 1000, SIZE])
async def test_the_history_has_the_sha_256_if_configured(tmp_path: Path, origin: Origin, size: int) -> None:
    content = expected_bytes(0, 0, size)
    async with DaemonProcess(tmp_path, config=make_config(record_checksum=True)) as daemon:
        origin.script(
            "/f",
            [ScriptedResponse(size=size, etag='"a"', cut_after=size // 2), ScriptedResponse(size=size, etag='"a"')],
        )
        origin.script("/g", ScriptedResponse(size=size))
        for path in ("/f", "/g"):
            status, answer = await daemon.fetch("d", origin.url(path))
            assert status == 201, answer
        # Also if a checksum of another algorithm was requested.
        md5 = hashlib.md5(content).hexdigest()
        assert (await daemon.fetch("d", origin.url("/g"), checksum=f"md5={md5}"))[0] == 201
        kept = {entry["checksum"] for entry in await daemon.history()}
        assert kept == {f"sha-256={hashlib.sha256(content).hexdigest()}"}
