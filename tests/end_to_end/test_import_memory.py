"""Memory of the daemon during an import of a large workspace."""

import json
import zipfile
from pathlib import Path

import pytest
from support.daemon_process import DaemonProcess
from support.waiting import wait_until

MIB = 1 << 20
CHANNELS, MESSAGES_PER_DAY = 100, 100


def write_workspace(path: Path, *, user_count: int, days: int) -> None:
    """Write an export with a file in each hundredth message, and each hundredth of them deleted."""
    profile = f'{{{{"email":"user.{{0}}@mail.example.com","title":"{"x" * 700}"}}}}'
    user = f'{{{{"id":"U{{0}}","name":"user.{{0}}","deleted":false,"profile":{profile}}}}}'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("users.json", "w") as users:
            for number in range(user_count):
                users.write(b"[" if not number else b",")
                users.write(user.format(number).encode())
            users.write(b"]")
        archive.writestr("channels.json", json.dumps([{"id": f"C{n}", "name": f"c{n}"} for n in range(CHANNELS)]))
        for channel in range(CHANNELS):
            for day in range(days):
                archive.writestr(f"c{channel}/{2000 + day}-01-01.json", _day(f"{channel}.{day}"))


def _day(name: str) -> str:
    url = f"https://files.example.com/files-pri/T1-{name}/download/report.pdf?t=xoxe-1"
    mode = "tombstone" if name.endswith(".0") else "hosted"
    file = {"id": f"F{name}", "name": "report.pdf", "mode": mode, "url_private_download": url}
    messages: list[dict[str, object]] = [
        {"type": "message", "user": f"U{n}", "text": "hello " * 20, "ts": f"15000000{n:02}.5"}
        for n in range(MESSAGES_PER_DAY)
    ]
    messages[0]["files"] = [file]
    return json.dumps(messages)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("user_count", "days", "max_growth"),
    [
        pytest.param(50_000, 25, 60 * MIB, id="250,000 messages"),
        pytest.param(200_000, 100, 100 * MIB, id="a million messages", marks=pytest.mark.exhaustive),
    ],
)
async def test_a_large_workspace_is_imported_in_little_memory(
    tmp_path: Path, user_count: int, days: int, max_growth: int
) -> None:
    export = tmp_path / "export.zip"
    write_workspace(export, user_count=user_count, days=days)
    async with DaemonProcess(tmp_path, may_fork=False) as daemon:
        assert (await daemon.request("GET", "/api/v1/health"))[0] == 200
        before = daemon.resident_bytes()
        with export.open("rb") as file:
            path = "/api/v1/imports?importerKey=slack&fileName=export.zip"
            assert (await daemon.request("POST", path, data=file))[0] == 201
        assert (await daemon.request("GET", "/api/v1/getImportFileData"))[1]["waiting"] is True

        async def is_read() -> bool:
            operation = (await daemon.request("GET", "/api/v1/getCurrentImportOperation"))[1]["operation"]
            return bool(operation["status"] == "importer_user_selection")

        await wait_until(is_read, 400, every=0.5)
        data = (await daemon.request("GET", "/api/v1/getImportFileData"))[1]
        assert (len(data["users"]), len(data["channels"])) == (user_count, CHANNELS)
        assert data["message_count"] == CHANNELS * days * MESSAGES_PER_DAY
        selection = {"input": {"users": {"all": True}, "channels": {"all": True}}}
        assert (await daemon.request("POST", "/api/v1/startImport", json=selection))[0] == 200
        operation = (await daemon.request("GET", "/api/v1/getCurrentImportOperation"))[1]["operation"]
        assert operation["count"]["skipped"] == CHANNELS
        growth = daemon.peak_bytes() - before
        assert growth < max_growth, growth / MIB
