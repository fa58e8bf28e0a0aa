"""Schedules and object storage of several daemons on one database."""

import asyncio
import signal
import time
from pathlib import Path

import pytest
from aiohttp import web
from end_to_end.test_object_storage import CONTENT, SIZE, read, storage_config
from support.daemon_cluster import open_cluster
from support.daemon_process import DEFAULT_CONFIG, USER
from support.object_server import ObjectProxy
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.postgres_server import PostgresServer
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.records.schedules import encode_schedule
from downloadd.schedule import Schedule, ScheduleDefinition, ScheduleSource
from downloadd.storage.objects.client import ObjectClient

pytestmark = pytest.mark.system


@pytest.mark.exhaustive
async def test_two_daemons_that_find_a_schedule_due_make_one_run(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin
) -> None:
    origin.script("/prices.csv", ScriptedResponse(size=10))
    definition = ScheduleDefinition(
        cron="* * * * *",
        time_zone="UTC",
        url=origin.url("/prices.csv"),
        directory="d",
        filename="prices.csv",
        keep=1,
        user=USER,
    )
    async with open_cluster(tmp_path, postgres_server, lease=3) as cluster:
        alpha, beta = await cluster.start("alpha"), await cluster.start("beta")
        for node in (alpha, beta):
            await node.stop()
        # Both find it due at their start, and each minute.
        due = time.time() // 60 * 60 - 3600
        schedule = Schedule(name="prices", source=ScheduleSource.API, created=1.0, definition=definition, next_run=due)
        await cluster.query(
            "INSERT INTO schedules (name, revision, body) VALUES ('prices', 0, $1)", encode_schedule(schedule)
        )
        await asyncio.gather(alpha.start(), beta.start())
        began = time.time()
        await wait_until(lambda: cluster.has_ended(1))
        # The next minute, at which both wake up.
        await wait_until(lambda: cluster.has_ended(2), seconds=60 + CONDITION_TIMEOUT)
        # Both have looked when one of them has recorded the outcome.
        settled = "SELECT count(*) FROM schedules WHERE body::jsonb ->> 'is_settled' IS DISTINCT FROM 'false'"
        await wait_until(lambda: cluster.count(settled))
        minutes = time.time() // 60 - began // 60
        assert 2 <= len(origin.requests("/prices.csv")) <= 1 + minutes
        history = await alpha.history()
        assert len(history) == len({entry["id"] for entry in history}) == len(origin.requests("/prices.csv"))
        assert [entry["status"] for entry in history] == ["completed"] * len(history)


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        (signal.SIGSTOP, "PUT partNumber uploadId"),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in [
                (signal.SIGSTOP, "POST uploads"),
                (signal.SIGSTOP, "POST uploadId"),
                (signal.SIGKILL, "POST uploads"),
                (signal.SIGKILL, "PUT partNumber uploadId"),
                (signal.SIGKILL, "POST uploadId"),
            ]
        ),
    ],
)
async def test_another_daemon_goes_on_with_an_upload_to_object_storage(
    tmp_path: Path,
    postgres_server: PostgresServer,
    origin: Origin,
    object_client: ObjectClient,
    object_proxy: ObjectProxy,
    bucket: str,
    how: signal.Signals,
    wanted: str,
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE, etag='"v"'))
    rest = storage_config(object_proxy.url, bucket).removeprefix(DEFAULT_CONFIG)
    ended = asyncio.Event()
    async with open_cluster(tmp_path, postgres_server, lease=1.5) as cluster:
        alpha = await cluster.start("alpha", rest=rest)
        process = alpha.process
        assert process is not None

        async def end(request: web.Request) -> web.StreamResponse | None:
            if object_proxy.requests[-1] == wanted and not ended.is_set():
                process.send_signal(how)
                ended.set()
            return None

        object_proxy.after = end
        started = await alpha.start_download("Archive", origin.url("/f.bin"))
        await asyncio.wait_for(ended.wait(), CONDITION_TIMEOUT)
        beta = await cluster.start("beta", rest=rest)
        await beta.wait_for_state(started["download_id"], "completed")
        if how is signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            await alpha.wait_for_log("run_fenced")
        assert await read(object_client, "files/f.bin") == CONTENT
        assert (await object_client.list_objects("")).keys == ["files/f.bin"]
        assert len(origin.requests("/f.bin")) == 1

        async def is_clean() -> bool:
            return await object_client.list_uploads("") == [] and beta.files() == {} and beta.part_files() == []

        await wait_until(is_clean)
        assert [entry["status"] for entry in await beta.history()] == ["completed"]
