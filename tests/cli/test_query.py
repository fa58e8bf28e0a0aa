"""`list`, `history`, `show` and `status`, in this process."""

import json
import re

from cli.conftest import Command
from support.node_reports import node_report
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd import __version__
from downloadd.download import Snapshot
from downloadd.errors import NetworkErrorKind, RemoteError
from downloadd.node import Node
from downloadd.states import ACTIVE, STATES, State


async def test_a_list_has_the_label_of_each_state(api: ServedApi, command: Command) -> None:
    for number, state in enumerate(sorted(ACTIVE)):
        api.manager.add(sample_download(number, state=state, filename=f"f{number}"))
    lines = (await command("list")).output.splitlines()[1:]
    assert len(lines) == len(ACTIVE)
    for number, (state, line) in enumerate(zip(sorted(ACTIVE), lines, strict=True)):
        assert re.search(rf"{STATES[state].label} .*f{number}$", line)
    assert (await command("list", "--status", "paused")).output.count("\n") == 2


async def test_speed_and_time_left_are_those_of_a_download_that_receives(api: ServedApi, command: Command) -> None:
    for number, state in enumerate((State.DOWNLOADING, State.PAUSED)):
        download = api.manager.add(sample_download(number, state=state, received=1024, total=4096))
        api.manager.snapshots[download.id] = Snapshot(download=download, speed=1024, eta=61)
    lines = (await command("list")).output.splitlines()[1:]
    assert "1.00 KiB of 4.00 KiB  1.00 KiB/s  1 min 1 s" in lines[0]
    assert "KiB/s" not in lines[1]


async def test_an_empty_list_is_a_sentence_or_empty_json(command: Command) -> None:
    assert (await command("list")).output == "No active downloads.\n"
    assert (await command("history")).output == "No finished download matches.\n"
    assert json.loads((await command("list", "--json")).output) == {"downloads": []}


async def test_a_history_with_more_pages_is_marked(api: ServedApi, command: Command) -> None:
    for number in range(3):
        api.manager.add(sample_download(number, state=State.FAILED))
    assert (await command("history", "--limit", "2")).output.splitlines()[-1].startswith("There are more;")
    assert "There are more" not in (await command("history", "--limit", "3")).output


async def test_a_part_file_that_was_kept_is_shown(api: ServedApi, command: Command) -> None:
    kept = api.manager.add(sample_download(1, state=State.FAILED, part_name=".a.part", received=15 << 20))
    api.manager.add(sample_download(2, state=State.FAILED))
    assert (await command("history")).output.count("15.0 MiB kept, retry continues") == 1
    listed = json.loads((await command("history", "--kept", "--json")).output)["history"]
    assert [entry["id"] for entry in listed] == [kept.id]
    output = (await command("show", kept.id)).output
    assert re.search(r"^part file +15.0 MiB kept, retry continues$", output, re.MULTILINE)


async def test_all_fields_of_a_download_are_shown(api: ServedApi, command: Command) -> None:
    row = sample_download(1, state=State.RETRYING, error="NETWORK_ERROR", detail="cut", priority=4)
    id = api.manager.add(row.with_result(cause=NetworkErrorKind.NO_RESPONSE)).id
    output = (await command("show", id)).output
    assert re.search(r"^cause +no_response$", output, re.MULTILINE)
    assert re.search(r"^state +trying again$", output, re.MULTILINE)
    assert re.search(r"^priority +4$", output, re.MULTILINE)
    assert re.search(r"^error +.*: cut$", output, re.MULTILINE)
    assert re.search(r"^resolution +\S", output, re.MULTILINE)


async def test_the_connections_and_the_status_of_the_origin_are_shown(api: ServedApi, command: Command) -> None:
    active = api.manager.add(sample_download(1, state=State.DOWNLOADING))
    for connections, is_shown in ((3, True), (1, False)):
        api.manager.snapshots[active.id] = Snapshot(download=active, connections=connections)
        assert ("connections" in (await command("show", active.id)).output) is is_shown
    failed = api.manager.add(sample_download(2, state=State.FAILED).with_error(RemoteError(500)))
    assert re.search(r"^status of origin +500$", (await command("show", failed.id)).output, re.MULTILINE)


async def test_a_warning_is_shown_in_list_history_and_details(api: ServedApi, command: Command) -> None:
    id = api.manager.add(sample_download(1, state=State.COMPLETED, warning="look at this")).id
    api.manager.add(sample_download(2, state=State.DOWNLOADING, warning="look at that"))
    assert "look at this" in (await command("history")).output
    assert "look at that" in (await command("list")).output
    assert re.search(r"^warning +look at this$", (await command("show", id)).output, re.MULTILINE)


async def test_the_status_shows_nodes_if_there_are_several(api: ServedApi, command: Command) -> None:
    alpha = Node(report=node_report(running=2, speed=3072), last_seen=1.0)
    api.nodes = [alpha]
    assert "alpha" not in (await command("status")).output
    other = node_report(name="beta", url="http://beta", settings={"max_per_host": "2"})
    api.nodes = [alpha, Node(report=other, last_seen=1.0, is_gone=True)]
    output = (await command("status")).output
    assert "Node alpha (1.0) at http://alpha.example:8080: up, 2 running, 3.00 KiB/s\n" in output
    assert "Node beta (1.0) at http://beta: gone; differs in max_per_host\n" in output
    nodes = json.loads((await command("status", "--json")).output)["nodes"]
    assert [(node["node"], node["state"]) for node in nodes] == [("alpha", "up"), ("beta", "gone")]


async def test_the_status_counts_active_downloads(api: ServedApi, command: Command) -> None:
    for number in range(2):
        api.manager.add(sample_download(number, state=State.DOWNLOADING))
    assert "\n2 downloading; 0 B/s\n" in (await command("status")).output
    active = json.loads((await command("status", "--json")).output)["active"]
    assert active == {state.value: 2 if state is State.DOWNLOADING else 0 for state in ACTIVE}


async def test_health_needs_no_token(api: ServedApi) -> None:
    done = await Command(api, "not-a-token")("health")
    assert (done.exit_code, done.output) == (0, f"downloadd {__version__} at http://127.0.0.1:{api.server.port}/\n")
