"""Calls of the typed client about schedules."""

from support.served_api import ServedApi

from downloadd.client import Client, ScheduleBody, ScheduleChange


async def test_each_call_reaches_the_daemon(api: ServedApi, api_client: Client) -> None:
    body = ScheduleBody(name="prices", cron="0 * * * *", url="https://files.example.com/prices.csv")
    assert (await api_client.schedules.add(body)).name == "prices"
    assert (await api_client.schedules.change("prices", ScheduleChange(keep=4))).keep == 4
    assert [one.keep for one in await api_client.schedules.list()] == [4]
    assert (await api_client.schedules.get("prices")).last_run is None
    assert (await api_client.schedules.run("prices")).last_status == "queued"
    assert len(api.manager.requests) == 1
    assert (await api_client.schedules.remove("prices")).success
