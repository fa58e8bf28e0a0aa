"""Calls about downloads, against the API in this process."""

import asyncio

import msgspec
import pytest
from support.sample_downloads import sample_download
from support.served_api import READER_TOKEN, ServedApi

from downloadd.client import (
    ActiveEntry,
    ApiError,
    BatchItem,
    BulkAction,
    Client,
    Credentials,
    HistoryEntry,
    Method,
    ProbeBody,
)
from downloadd.client.downloads import parse_next_cursor
from downloadd.download import Conflict
from downloadd.download_request import StartOptions, StartParameters
from downloadd.errors import RemoteFileNotFoundError
from downloadd.records.protocol import HistoryFilter
from downloadd.request_fields import RequestFields
from downloadd.states import State

VALUES: StartOptions = {
    "filename": "n",
    "timeout": 1,
    "segments": 2,
    "checksum": f"sha-256={'0' * 64}",
    "type": "image/*",
    "conflict": "skip",
    "skip_same": True,
    "priority": 3,
    "speed_limit": 4,
    "max_retries": 5,
    "retry_wait": 6,
    "stall_timeout": 7.5,
    "connect_timeout": 0.25,
    "min_speed": 8,
    "not_before": "2026-12-24T17:00:00Z",
    "paused": True,
}


async def test_every_start_parameter_reaches_the_daemon(api: ServedApi, api_client: Client) -> None:
    assert set(VALUES) == set(StartParameters.__struct_fields__)
    urls = ["https://a.example/f", "https://b.example/f"]
    await api_client.files.downloads.fetch(directory="d", download=urls, **VALUES)
    await api_client.files.downloads.batch(
        [msgspec.convert({**VALUES, "url": urls[0], "mirrors": urls[1:], "directory": "d"}, BatchItem)]
    )
    for request in api.manager.requests:
        assert (request.url, [*request.mirrors], request.directory) == (urls[0], urls[1:], "d")
        assert {name: getattr(request, name) for name in VALUES} == {**VALUES, "conflict": Conflict.SKIP}
    assert len(api.manager.requests) == 2


async def test_request_fields_reach_the_daemon_in_a_batch(api: ServedApi, api_client: Client) -> None:
    item = BatchItem(
        url="https://a.example/f",
        headers={"X-Key": "k"},
        cookies={"a": "1"},
        referer="https://a.example/",
        user_agent="B",
        auth=Credentials(user="ann", password="p"),
        method=Method.POST,
        body="x",
    )
    await api_client.files.downloads.batch([item])
    [request] = api.manager.requests
    assert {name: getattr(request, name) for name in RequestFields.__struct_fields__} == {
        name: getattr(item, name) for name in RequestFields.__struct_fields__
    }


async def test_a_probe_returns_what_a_download_would_find(api: ServedApi, api_client: Client) -> None:
    body = ProbeBody(url="https://a.example/f", filename="n", type="file", cookies={"a": "1"})
    found = await api_client.files.downloads.probe(body)
    assert (found.filename, found.size, found.resumable) == ("data.zip", 3_000_000, True)
    [request] = api.prober.requests
    assert (request.url, request.filename, request.type, request.cookies) == (
        "https://a.example/f",
        "n",
        "file",
        {"a": "1"},
    )
    api.prober.error = RemoteFileNotFoundError(404)
    with pytest.raises(ApiError) as caught:
        await api_client.files.downloads.probe(body)
    assert (caught.value.code, caught.value.detail) == ("REMOTE_FILE_NOT_FOUND", "the origin answered 404")


async def test_a_parameter_that_is_none_is_omitted(api: ServedApi, api_client: Client) -> None:
    await api_client.files.downloads.fetch(download="https://a.example/f", priority=None, filename=None)
    assert api.manager.requests[0].priority == 0


async def test_the_answer_to_a_download_has_the_type_of_its_state(api: ServedApi, api_client: Client) -> None:
    active, ended = api.manager.add(sample_download(1)), api.manager.add(sample_download(2, state=State.FAILED))
    assert isinstance(await api_client.files.downloads.get(active.id), ActiveEntry)
    assert isinstance(await api_client.files.downloads.get(ended.id), HistoryEntry)


async def test_a_wait_ends_with_the_download(api: ServedApi, api_client: Client) -> None:
    id = api.manager.add(sample_download(1)).id
    waiting = asyncio.create_task(api_client.files.downloads.wait(id))
    while not api.bus.reader_count:
        await asyncio.sleep(0)
    await api.manager.set_state(id, State.COMPLETED)
    assert (await waiting).status is State.COMPLETED
    assert (await api_client.files.downloads.wait(id)).id == id


async def test_changes_that_are_not_given_are_not_sent(api: ServedApi, api_client: Client) -> None:
    id = api.manager.add(sample_download(1)).id
    await api_client.files.downloads.change(id, speed_limit=0)
    [change] = api.manager.applied_changes
    assert (change.priority, change.speed_limit, change.url) == (None, 0, None)


async def test_a_batch_of_refused_downloads_has_their_results(api_client: Client) -> None:
    response = await api_client.files.downloads.batch([BatchItem(url="nonsense")])
    assert [result.error for result in response.downloads] == ["INVALID_URL"]
    with pytest.raises(ApiError) as refused:
        await api_client.files.downloads.batch([])
    assert refused.value.code == "INVALID_PARAMETER"


async def test_the_history_has_the_cursor_of_its_next_page(api: ServedApi, api_client: Client) -> None:
    for number in range(3):
        api.manager.add(sample_download(number, state=State.FAILED))
    first = await api_client.files.downloads.get_history(limit=2)
    second = await api_client.files.downloads.get_history(limit=2, cursor=first.next)
    assert [len(first.history), len(second.history), second.next] == [2, 1, None]


async def test_a_cancellation_never_removes_and_a_removal_never_cancels(api: ServedApi, api_client: Client) -> None:
    active, ended = api.manager.add(sample_download(1)), api.manager.add(sample_download(2, state=State.COMPLETED))
    for call in (api_client.files.downloads.cancel(ended.id), api_client.files.downloads.remove(active.id)):
        with pytest.raises(ApiError, match="INVALID_STATE"):
            await call
    assert (await api_client.files.downloads.remove(ended.id, file=True)).id == ended.id
    assert api.history.removed_files == [ended.id]
    assert list(api.manager.downloads) == [active.id]


async def test_an_action_on_many_downloads_has_a_result_for_each(api: ServedApi, api_client: Client) -> None:
    active, ended = api.manager.add(sample_download(1)), api.manager.add(sample_download(2, state=State.COMPLETED))
    paused = await api_client.files.downloads.act("pause", [active.id, ended.id])
    assert [result.error for result in paused.results] == [None, "INVALID_STATE"]
    assert isinstance(paused.results[0].active, ActiveEntry)
    removed = await api_client.files.downloads.act(BulkAction.REMOVE, [ended.id], file=True)
    assert removed.success
    assert api.history.removed_files == [ended.id]


async def test_matching_entries_are_removed(api: ServedApi, api_client: Client) -> None:
    for number, state in enumerate((State.FAILED, State.COMPLETED)):
        api.manager.add(sample_download(number, state=state))
    result = await api_client.files.downloads.remove_history(status="failed", ended_before=7)
    assert (result.removed, result.refused, result.success) == (1, 0, True)
    assert api.history.filters == [HistoryFilter(state=State.FAILED, ended_before=7)]


@pytest.mark.parametrize(
    ("link", "cursor"),
    [
        ("", None),
        ('<http://a/?cursor=5>; rel="next"', "5"),
        ('</?x=1&cursor=7>; rel="next"', "7"),
        ('</?cursor=1>; rel="prev", </?cursor=2>; rel="next"', "2"),
        ('</?cursor=1>; rel="prev"', None),
        ('</>; rel="next"', None),
    ],
)
def test_the_cursor_is_that_of_the_next_relation(link: str, cursor: str | None) -> None:
    assert parse_next_cursor(link) == cursor


async def test_a_finished_file_is_read_and_continued(api: ServedApi) -> None:
    download = sample_download(1, state=State.COMPLETED, directory="d", end_time=2, ended_seq=1)
    api.manager.downloads[download.id] = download
    content = bytes(1000) + b"the rest"
    api.files.put(download.file_path, content)
    async with Client(str(api.client.make_url("/")), token=READER_TOKEN) as reader:
        calls = reader.files.downloads
        async with calls.file(download.id) as file:
            assert (file.start, file.size) == (0, len(content))
            assert b"".join([piece async for piece in file.pieces()]) == content
        async with calls.file(download.id, start=1000, if_range=file.entity_tag) as second:
            assert (second.start, second.size) == (1000, len(content))
            assert [piece async for piece in second.pieces()] == [b"the rest"]
        async with calls.file(download.id, start=1000, if_range='"another"') as whole:
            assert whole.start == 0
        api.files.put("d/other", b"x")
        page = await calls.list_files(directory="d", limit=1)
        rest = await calls.list_files(directory="d", cursor=page.next)
        assert [one.name for one in (*page.files, *rest.files)] == ["a", "other"]
        assert (page.files[0].download_id, rest.next) == (download.id, None)
        link = await calls.link(download.id)
        assert link.ticket in link.url
        with pytest.raises(ApiError, match="RANGE_NOT_SATISFIABLE"):
            async with calls.file(download.id, start=5000):
                pass
