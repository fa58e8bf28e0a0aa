"""Storage root on exFAT: a disk that ignores case, has neither modes nor hard links, and refuses some names."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.daemon_process import DEFAULT_CONFIG, USER, DaemonProcess
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.small_disk import mounted_image
from support.waiting import CONDITION_TIMEOUT, wait_until

SIZE = 50_000
DIRECTORY_TABLES = f"""
[[users]]
id = "another"
token_hash = "sha256:{hashlib.sha256(b"another").hexdigest()}"

[[directories]]
path = "Closed"
users = ["another"]

[[directories]]
path = "Mine"
users = ["{USER}"]
quota = {SIZE}
"""


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Path]:
    """Mount a small exFAT disk."""
    with mounted_image(tmp_path, 32 << 20, ["mkfs.exfat"], ["-t", "exfat-fuse"]) as place:
        yield place


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin(fallback=lambda request: ScriptedResponse(size=SIZE, etag='"v"')) as origin:
        yield origin


@pytest.fixture
async def daemon(tmp_path: Path, exfat: Path) -> AsyncIterator[DaemonProcess]:
    daemon = DaemonProcess(tmp_path, config=DEFAULT_CONFIG + DIRECTORY_TABLES)
    daemon.root = exfat / "files"
    async with daemon:
        yield daemon
        assert "Traceback" not in daemon.log.read_text()


async def test_names_that_differ_in_case_are_one_name(daemon: DaemonProcess, origin: Origin) -> None:
    spellings = ["Data.csv", "data.csv", "DATA.CSV", "dAtA.csv"]
    answers = await asyncio.gather(*(daemon.fetch("d", origin.url("/f"), filename=name) for name in spellings))
    assert [status for status, _ in answers] == [201] * 4
    names = [answer["filename"] for _, answer in answers]
    assert len({name.lower() for name in names}) == 4
    assert daemon.files() == {f"d/{name}": expected_bytes(0, 0, SIZE) for name in names}


@pytest.mark.parametrize(("conflict", "outcome"), [("error", "FILE_EXISTS"), ("skip", None), ("overwrite", None)])
async def test_each_conflict_policy_applies_to_a_name_in_another_case(
    daemon: DaemonProcess, origin: Origin, conflict: str, outcome: str | None
) -> None:
    origin.script("/other", ScriptedResponse(size=SIZE, seed=7))
    await daemon.fetch("d", origin.url("/f"), filename="Name")
    _, answer = await daemon.fetch("D", origin.url("/other"), filename="nAME", conflict=conflict)
    assert answer["error"] == outcome
    [content] = daemon.files().values()
    assert content == expected_bytes(7 if conflict == "overwrite" else 0, 0, SIZE)
    await wait_until(lambda: daemon.part_files() == [])


async def test_directory_settings_apply_to_every_spelling(daemon: DaemonProcess, origin: Origin) -> None:
    (daemon.root / "Closed").mkdir()
    for spelling in ("closed", "CLOSED/x", "Closed.", "Clo\u200bsed", "mine", "Mine /x"):
        status, answer = await daemon.fetch(spelling, origin.url("/f"))
        assert (status, answer["error"]) == (400, "INVALID_PATH"), spelling
        assert "is too similar to" in answer["detail"]
    assert (await daemon.request("GET", "/Closed", params={"download": origin.url("/f")}))[0] == 403
    assert (await daemon.fetch("Mine/a", origin.url("/f")))[0] == 201
    # A directory below it in another spelling has the same count.
    status, answer = await daemon.fetch("Mine/A", origin.url("/f"))
    assert (status, answer["error"]) == (507, "INSUFFICIENT_STORAGE")
    assert set(daemon.files()) == {"Mine/a/f"}


async def test_a_download_resumes_after_a_kill(daemon: DaemonProcess, origin: Origin) -> None:
    size = 4 << 20
    origin.script(
        "/big", [ScriptedResponse(size=size, etag='"v"', stall_after=3 << 20), ScriptedResponse(size=size, etag='"v"')]
    )
    started = await daemon.start_download("d", origin.url("/big"))

    async def has_come() -> bool:
        return bool((await daemon.get_download(started["download_id"]))["current_size"] >= 3 << 20)

    async with asyncio.timeout(CONDITION_TIMEOUT):
        while not await has_come():
            await asyncio.sleep(0.02)
    await daemon.kill()
    await daemon.start()
    assert (await daemon.wait_until_finished(started["download_id"]))["status"] == "completed"
    assert daemon.files() == {"d/big": expected_bytes(0, 0, size)}
    assert origin.requests("/big")[-1].field("Range")


async def test_a_name_that_the_disk_does_not_support_is_refused(daemon: DaemonProcess, origin: Origin) -> None:
    for name in ("a:b", "a*b", "a?b", 'a"b', "a<b", "a|b"):
        status, answer = await daemon.fetch("d", origin.url("/f"), filename=name)
        assert (status, answer["error"]) == (400, "INVALID_PATH"), (name, answer)
        status, answer = await daemon.fetch(f"d/{quote(name)}/x", origin.url("/f"))
        assert (status, answer["error"]) == (400, "INVALID_PATH"), (name, answer)
    assert daemon.files() == {}
    await wait_until(lambda: daemon.part_files() == [])
