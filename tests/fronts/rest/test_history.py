"""`GET /?download_history=`: pages of the history."""

import json
from typing import Any

import pytest
from support.sample_downloads import sample_download
from support.served_api import ServedApi
from yarl import URL

from downloadd.errors import ErrorCode
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State


async def read(api: ServedApi, query: str) -> tuple[int, Any, str]:
    async with api.client.get(URL(f"/?download_history={query}", encoded=True)) as response:
        return response.status, json.loads(await response.read()), response.headers.get("Link", "")


async def test_the_history_of_the_specification_is_answered_field_by_field(api: ServedApi) -> None:
    api.manager.add(
        sample_download(
            id="9c5d0e34-6f70-6c3d-be01-4a8f9b0c1d2e",
            filename="missing.csv",
            directory="Downloads",
            redacted_url="https://files.example.com/missing.csv",
            state=State.FAILED,
            total=7,
            start_time=1700000100,
            end_time=1700000105,
            error=ErrorCode.REMOTE_FILE_NOT_FOUND,
            detail="the origin answered 404",
            origin_status=404,
        )
    )
    api.manager.add(
        sample_download(
            id="7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c",
            filename="dataset.zip",
            directory="Downloads",
            redacted_url="https://files.example.com/dataset.zip",
            state=State.COMPLETED,
            total=104857600,
            start_time=1700000000,
            end_time=1700000030,
            checksum="sha-256=00",
            content_type="application/zip",
        )
    )
    status, body, link = await read(api, "")
    assert (status, link) == (200, "")
    assert body == {
        "history": [
            {
                "id": "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c",
                "filename": "dataset.zip",
                "file_path": "Downloads/dataset.zip",
                "directory": "Downloads",
                "url": "https://files.example.com/dataset.zip",
                "status": "completed",
                "total_bytes": 104857600,
                "start_time": 1700000000,
                "end_time": 1700000030,
                "error": None,
                "checksum": "sha-256=00",
                "content_type": "application/zip",
                "user": "u",
                "detail": None,
                "cause": None,
                "origin_status": None,
                "warning": None,
                "resumed_by": None,
                "kept_bytes": 0,
            },
            {
                "id": "9c5d0e34-6f70-6c3d-be01-4a8f9b0c1d2e",
                "filename": "missing.csv",
                "file_path": "Downloads/missing.csv",
                "directory": "Downloads",
                "url": "https://files.example.com/missing.csv",
                "status": "failed",
                "total_bytes": None,
                "start_time": 1700000100,
                "end_time": 1700000105,
                "error": "REMOTE_FILE_NOT_FOUND",
                "checksum": None,
                "content_type": None,
                "user": "u",
                "detail": "the origin answered 404",
                "cause": None,
                "origin_status": 404,
                "warning": None,
                "resumed_by": None,
                "kept_bytes": 0,
            },
        ]
    }


async def test_following_the_links_reads_every_entry_once_newest_first(api: ServedApi) -> None:
    for number in range(7):
        api.manager.add(sample_download(number, state=State.COMPLETED, directory="a b" if number % 2 else ""))
    seen: list[str] = []
    query = "&limit=2&directory=a%20b&status=completed"
    while True:
        _, body, link = await read(api, query)
        seen += [entry["id"] for entry in body["history"]]
        if not link:
            break
        assert link.startswith("</?download_history=&limit=2&directory=a%20b&status=completed&cursor=")
        assert link.endswith('>; rel="next"')
        query = link.partition("download_history=")[2].partition(">")[0]
    assert seen == [sample_download(number).id for number in (5, 3, 1)]


async def test_every_filter_reaches_the_records(api: ServedApi) -> None:
    await read(api, "&limit=1000&cursor=17&status=skipped&directory=a/b/&q=x+y")
    assert api.manager.filters == [
        HistoryFilter(directory="a/b", state=State.SKIPPED, contains="x y", before_ended_seq=17, limit=1001)
    ]


async def test_a_page_has_100_entries_by_default(api: ServedApi) -> None:
    for number in range(101):
        api.manager.add(sample_download(number, state=State.COMPLETED))
    _, body, link = await read(api, "")
    assert len(body["history"]) == 100
    assert link == '</?download_history=&cursor=2>; rel="next"'


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "cursor=", "cursor=x", "cursor=1.5", "status=queued", "status=", "user=u",
     "limit=1&limit=2", "q=%FF"],
)  # fmt: skip
async def test_an_invalid_parameter_is_named(api: ServedApi, query: str) -> None:
    status, body, _ = await read(api, f"&{query}")
    assert (status, body["error"]) == (400, "INVALID_PARAMETER")
    assert body["detail"].startswith(query.partition("=")[0])


async def test_an_invalid_directory_is_named(api: ServedApi) -> None:
    status, body, _ = await read(api, "&directory=..")
    assert (status, body["error"]) == (400, "INVALID_PATH")


async def test_head_reads_without_a_body(api: ServedApi) -> None:
    status, fields, body = await api.raw("HEAD", "/?download_history=")
    assert (status, body) == (200, b"")
    assert int(fields["Content-Length"]) > 0


# -- removal -----------------------------------------------------------------------------------------------------------


async def test_matching_entries_are_removed_except_in_directories_of_others(api: ServedApi) -> None:
    for number, (state, directory) in enumerate(
        [(State.FAILED, "d"), (State.FAILED, "not-for-alice"), (State.COMPLETED, "d")]
    ):
        api.manager.add(sample_download(number, state=state, directory=directory))
    async with api.client.delete("/?download_history=&status=failed") as response:
        assert response.status == 200
        assert await response.json() == {
            "removed": 1,
            "refused": 1,
            "success": True,
            "message": "1 removed from the history, 1 left in directories that you may not use",
        }
    assert {row.id for row in api.manager.downloads.values()} == {sample_download(n).id for n in (1, 2)}


async def test_a_removal_has_the_filters_of_a_page(api: ServedApi) -> None:
    async with api.client.delete(
        "/?download_history=&directory=/a/&q=x&ended_before=5&status=skipped&kept=true"
    ) as response:
        assert response.status == 200
    assert api.history.filters == [
        HistoryFilter(directory="a", contains="x", ended_before=5, state=State.SKIPPED, has_part=True)
    ]
    for query in ("kept=1", "limit=1", "ended_before=-1", "ended_before=x", "status=queued"):
        async with api.client.delete(f"/?download_history=&{query}") as response:
            assert response.status == 400
    assert len(api.history.filters) == 1
