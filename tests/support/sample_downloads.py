"""Downloads and events made up for tests."""

from typing import Any

from support.downloads import make_download

from downloadd.download import Download, Snapshot
from downloadd.events import DownloadChanged


def sample_download(number: int = 0, **changes: Any) -> Download:
    fields: dict[str, Any] = {
        "id": f"{number:08x}-0000-4000-8000-000000000000",
        "user": "u",
        "url": "https://files.example.com/a",
        "redacted_url": "https://files.example.com/a",
        "origin": "https://files.example.com",
        "directory": "",
        "timeout": 300,
        "start_time": 1,
        "filename": "a",
    }
    return make_download(**{**fields, **changes})


def sample_change(number: int = 0) -> DownloadChanged:
    return DownloadChanged(snapshot=Snapshot(download=sample_download(number)), before=None)
