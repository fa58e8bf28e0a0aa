"""Status of downloads as aria2 reports it."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import Desired, Download, Mirror, Snapshot
from downloadd.errors import ErrorCode
from downloadd.fronts.aria2.status.status import (
    ACTIVE_STATES,
    FIELDS,
    MAX_PIECES,
    MIN_PIECE_BYTES,
    STATUS_OF_STATE,
    View,
    make_bitfield,
    make_files,
    make_servers,
    make_statuses,
    make_uris,
    piece_length,
    status_of,
)
from downloadd.states import FINISHED, RUNNING, State

MIB = 1 << 20
VIEW = View(root="/srv/files", shows_urls=True)
VIEWER = View(root="/srv/files", shows_urls=False)
WAITING = sample_download(7, seq=7, directory="a/b", filename="f.bin")
HALF = with_fields(
    WAITING, state=State.DOWNLOADING, attempt=1, total=3 * MIB, received=MIB + 5, received_ranges=f"0-{MIB + 5}"
)
COMPLETE = with_fields(WAITING, state=State.COMPLETED, attempt=1, total=10, received=10)
SECRET = "https://u:p@files.example.com/a?token=x"


def status(download: Download, *keys: str, view: View = VIEW, **live: Any) -> dict[str, Any]:
    return make_statuses([Snapshot(download=download, **live)], keys or None, view)[0]


@pytest.mark.parametrize("state", State)
def test_each_state_has_a_status(state: State) -> None:
    assert status(with_fields(WAITING, state=state))["status"] == STATUS_OF_STATE[state].value
    assert (state in ACTIVE_STATES) == (status_of(with_fields(WAITING, state=state)).value == "active")


@pytest.mark.parametrize("state", sorted(RUNNING))
def test_a_running_download_that_is_to_be_paused_is_paused(state: State) -> None:
    download = with_fields(HALF, state=state, desired=Desired.PAUSE)
    assert status(download, "status", "connections", "downloadSpeed", speed=5.0, connections=2) == {
        "status": "paused",
        "connections": "0",
        "downloadSpeed": "0",
    }


def test_the_status_of_a_waiting_download() -> None:
    assert status(WAITING) == {
        "gid": WAITING.gid,
        "status": "waiting",
        "totalLength": "0",
        "completedLength": "0",
        "uploadLength": "0",
        "downloadSpeed": "0",
        "uploadSpeed": "0",
        "connections": "0",
        "numPieces": "0",
        "pieceLength": "1048576",
        "dir": "/srv/files/a/b",
        "files": [
            {
                "index": "1",
                "path": "/srv/files/a/b/f.bin",
                "length": "0",
                "completedLength": "0",
                "selected": "true",
                "uris": [{"uri": "https://files.example.com/a", "status": "waiting"}],
            }
        ],
    }


def test_the_status_of_an_active_download() -> None:
    made = status(HALF, speed=1234.6, connections=3)
    assert made["status"] == "active"
    assert made["totalLength"] == made["files"][0]["length"] == str(3 * MIB)
    assert made["completedLength"] == made["files"][0]["completedLength"] == str(MIB + 5)
    assert (made["downloadSpeed"], made["connections"]) == ("1235", "3")
    assert (made["numPieces"], made["pieceLength"], made["bitfield"]) == ("3", "1048576", "80")
    assert made["files"][0]["uris"][0]["status"] == "used"
    assert not {"errorCode", "errorMessage"} & made.keys()


def test_the_status_of_a_complete_download() -> None:
    made = status(COMPLETE)
    assert (made["errorCode"], made["errorMessage"]) == ("0", "")
    assert (made["totalLength"], made["completedLength"], made["bitfield"]) == ("10", "10", "80")


def test_the_status_of_a_failed_download_has_code_and_sentence() -> None:
    failed = with_fields(
        HALF, state=State.FAILED, error=ErrorCode.REMOTE_FILE_NOT_FOUND, detail="the origin answered 404"
    )
    made = status(failed, speed=3.0, connections=1)
    assert (made["errorCode"], made["errorMessage"]) == ("3", "the origin answered 404")
    assert (made["downloadSpeed"], made["connections"]) == ("0", "0")


def test_a_download_between_two_attempts_has_no_error() -> None:
    retrying = with_fields(HALF, state=State.RETRYING, error=ErrorCode.NETWORK_ERROR, detail="reset")
    assert not {"errorCode", "errorMessage"} & status(retrying).keys()


def test_a_complete_file_of_unknown_length_has_what_was_received() -> None:
    assert status(with_fields(COMPLETE, total=None), "totalLength") == {"totalLength": "10"}


@pytest.mark.parametrize("key", FIELDS)
def test_each_key_is_made_alone(key: str) -> None:
    ended = with_fields(COMPLETE, error=None)
    assert status(ended, key) == {key: status(ended)[key]}


def test_unknown_keys_are_ignored_and_none_means_all() -> None:
    assert status(WAITING, "gid", "bittorrent", "gid", "infoHash") == {"gid": WAITING.gid}
    assert status(WAITING, "followedBy") == {}
    assert make_statuses([Snapshot(download=WAITING)], [], VIEW) == [status(WAITING)]


def test_keys_have_the_order_of_the_call() -> None:
    assert list(status(WAITING, "status", "gid")) == ["status", "gid"]


@given(
    st.sampled_from(State),
    st.integers(0, 2**40),
    st.none() | st.integers(0, 2**40),
    st.none() | st.floats(0, 1e12),
    st.sampled_from(Desired),
)
def test_every_value_is_a_text(
    state: State, received: int, total: int | None, speed: float | None, desired: Desired
) -> None:
    download = with_fields(WAITING, state=state, received=received, total=total, desired=desired)
    made = status(download, speed=speed, connections=1)
    files = made.pop("files")
    assert all(isinstance(value, str) for value in made.values())
    uris = files[0].pop("uris")
    assert all(isinstance(value, str) for value in (*files[0].values(), *uris[0].values()))
    assert ("errorCode" in made) == ("errorMessage" in made) == (state in FINISHED)
    assert ("bitfield" in made) == (made["numPieces"] != "0")


# -- URIs --------------------------------------------------------------------------------------------------------------


def test_urls_are_whole_only_for_those_who_may_start_downloads() -> None:
    download = with_fields(
        WAITING, url=SECRET, redacted_url="https://files.example.com/a?token=***", mirrors=(Mirror(url=SECRET + "2"),)
    )
    snapshot = Snapshot(download=download)
    assert [each["uri"] for each in make_uris(snapshot, VIEW)] == [SECRET, SECRET + "2"]
    assert [each["uri"] for each in make_uris(snapshot, VIEWER)] == ["https://files.example.com/a?token=***"] * 2
    assert "u:p" not in json.dumps(make_statuses([snapshot], None, VIEWER))
    assert make_files(snapshot, VIEW)[0]["uris"] == make_uris(snapshot, VIEW)


def test_the_source_in_use_is_marked() -> None:
    download = with_fields(HALF, mirrors=(Mirror(url="https://b.example/a"),), source=1)
    assert [each["status"] for each in make_uris(Snapshot(download=download), VIEW)] == ["waiting", "used"]


def test_the_server_of_a_running_download_is_its_source() -> None:
    download = with_fields(HALF, mirrors=(Mirror(url="https://b.example/a"),), source=1)
    server = {"uri": "https://b.example/a", "currentUri": "https://b.example/a", "downloadSpeed": "7"}
    assert make_servers(Snapshot(download=download, speed=7.0), VIEW) == [{"index": "1", "servers": [server]}]
    retrying = with_fields(download, state=State.RETRYING)
    assert make_servers(Snapshot(download=retrying), VIEW) == [{"index": "1", "servers": []}]


def test_a_source_that_is_gone_is_replaced_by_the_url() -> None:
    download = with_fields(HALF, source=3)
    assert make_servers(Snapshot(download=download), VIEW)[0]["servers"][0]["uri"] == HALF.request.url


def test_bytes_that_are_not_utf_8_can_be_sent() -> None:
    download = with_fields(WAITING, url="https://a.example/\udcff", filename="\ud800é", directory="\udc41")
    made = status(download)
    assert made["files"][0]["uris"][0]["uri"] == "https://a.example/%FF"
    assert made["files"][0]["path"] == "/srv/files/\ufffd/\ufffdé"
    assert json.dumps(made, ensure_ascii=False).encode()


# -- pieces ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "length"),
    [
        (0, MIB),
        (1, MIB),
        (MAX_PIECES * MIB, MIB),
        (MAX_PIECES * MIB + 1, 2 * MIB),
        (2 * MAX_PIECES * MIB, 2 * MIB),
        (2 * MAX_PIECES * MIB + 1, 4 * MIB),
    ],
)
def test_a_piece_is_doubled_until_they_are_few_enough(total: int, length: int) -> None:
    assert piece_length(total) == length


@pytest.mark.parametrize(
    ("ranges", "total", "field"),
    [
        ([], 0, ""),
        ([(0, 5)], 0, ""),
        ([], 1, "00"),
        ([(0, 1)], 1, "80"),
        ([(0, MIB - 1)], 9 * MIB, "0000"),
        ([(0, MIB)], 9 * MIB, "8000"),
        ([(0, 8 * MIB + 5)], 9 * MIB, "ff00"),
        ([(0, 9 * MIB)], 9 * MIB, "ff80"),
        ([(8 * MIB, 8 * MIB + 3)], 8 * MIB + 3, "0080"),
        ([(1, 2 * MIB), (3 * MIB, 4 * MIB + 1)], 5 * MIB, "50"),
        ([(0, 99 * MIB)], 3 * MIB, "e0"),
    ],
)
def test_the_bitfield_has_a_bit_for_each_whole_piece(ranges: list[tuple[int, int]], total: int, field: str) -> None:
    assert make_bitfield(ranges, total) == field


@given(st.integers(1, 40 * MIN_PIECE_BYTES), st.lists(st.integers(0, 40 * MIN_PIECE_BYTES), max_size=6, unique=True))
def test_the_bitfield_is_that_of_a_count_piece_by_piece(total: int, edges: list[int]) -> None:
    edges = sorted(min(edge, total) for edge in edges)
    ranges = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=False) if start < end]
    bits = ""
    for start in range(0, total, MIN_PIECE_BYTES):
        end = min(start + MIN_PIECE_BYTES, total)
        bits += "1" if any(first <= start and end <= last for first, last in ranges) else "0"
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    assert make_bitfield(ranges, total) == f"{int(padded, 2):0{len(padded) // 4}x}"


# -- speed -------------------------------------------------------------------------------------------------------------


def test_a_thousand_rows_take_little_of_the_loop() -> None:
    keys = [
        "gid",
        "status",
        "totalLength",
        "completedLength",
        "downloadSpeed",
        "uploadSpeed",
        "connections",
        "errorCode",
        "files",
        "bittorrent",
    ]
    rows = [Snapshot(download=with_fields(HALF, seq=seq), speed=1e6, connections=3) for seq in range(1, 1001)]
    seconds = []
    for _ in range(10):
        start = time.thread_time()
        made = make_statuses(rows, keys, VIEW)
        seconds.append(time.thread_time() - start)
        assert len(made) == 1000
    # Other threads of the tests may take turns in between, but not each time.
    assert min(seconds) < 0.02
