import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records.contract import sample_download
from support.downloads import with_fields

from downloadd.config import HookConfig
from downloadd.hooks.rules import HookRules, encode_message, with_safe_path
from downloadd.states import State
from downloadd.storage.names import parse_directory, parse_filename


def test_each_subscribed_hook_gets_the_same_message_under_the_same_id() -> None:
    rules = HookRules(
        [
            HookConfig(name="one", command=("x",)),
            HookConfig(name="two", command=("x",), directory="elsewhere"),
            HookConfig(name="three", command=("x",), events=("skipped", "completed")),
            HookConfig(name="four", command=("x",), events=("cancelled",)),
        ]
    )
    download = with_fields(sample_download(), state=State.COMPLETED, ended_seq=7, end_time=1_700_000_000)
    first, second = rules.deliveries(download, now=5.0)
    assert (first.hook, second.hook) == ("one", "three")
    assert first.event_id == second.event_id == f"{download.id}.7"
    assert first.body == second.body
    assert (first.created, first.due, first.tries) == (5.0, 5.0, 0)
    assert json.loads(first.body)["timestamp"] == "2023-11-14T22:13:20Z"


def test_another_end_has_another_id() -> None:
    rules = HookRules([HookConfig(name="one", command=("x",))])
    ended = with_fields(sample_download(), state=State.FAILED, end_time=1)
    ids = {rules.deliveries(with_fields(ended, ended_seq=seq), now=0)[0].event_id for seq in (1, 2)}
    assert len(ids) == 2


refused = with_fields(sample_download(), state=State.FAILED, origin="", ended_seq=1, end_time=1)


@pytest.mark.parametrize(
    ("directory", "filename", "path"),
    [
        ("../../../etc", "passwd", "etc/passwd"),
        ("a", "../../../etc/passwd", "a/passwd"),
        ("a/./../b\\..\\c", "..", "a/b/c/download"),
        ("..", "\0", "download"),
        ("a/b", ".hidden:1", "a/b/.hidden:1"),
        ("", "", "download"),
        ("/etc", "/etc/cron.d/x", "etc/x"),
    ],
)
def test_no_path_of_a_refused_download_leads_out_of_the_root(directory: str, filename: str, path: str) -> None:
    rules = HookRules([HookConfig(name="one", command=("x",))])
    download = with_fields(refused, directory=directory, filename=filename)
    (delivery,) = rules.deliveries(download, now=0)
    entry = json.loads(delivery.body)["data"]
    assert entry["file_path"] == path
    assert entry["filename"] == path.rpartition("/")[2]
    assert entry["directory"] == path.rpartition("/")[0]


@given(st.text() | st.text("./\\a~\0 "), st.text() | st.text("./\\a\0 "))
def test_a_refused_request_has_a_path_that_a_hook_can_use(directory: str, filename: str) -> None:
    entry = with_safe_path(with_fields(refused, directory=directory, filename=filename))
    assert parse_filename(entry.filename) == entry.filename
    assert ".." not in entry.file_path.split("/")
    assert not entry.file_path.startswith("/")
    assert (
        parse_directory(f"x/{entry.request.directory}").removeprefix("x").removeprefix("/") == entry.request.directory
    )


def test_a_refused_directory_that_leads_out_of_that_of_a_hook_does_not_match_it() -> None:
    rules = HookRules([HookConfig(name="one", command=("x",), directory="team/a")])
    assert not rules.deliveries(with_fields(refused, directory="team/../team/a/../b"), now=0)


def test_an_accepted_download_keeps_its_path() -> None:
    download = with_fields(sample_download(), state=State.FAILED, ended_seq=1, end_time=1, filename="a: b")
    assert with_safe_path(download) is download


def test_text_with_lone_surrogates_is_encoded_with_replacements() -> None:
    download = with_fields(
        sample_download(),
        state=State.FAILED,
        ended_seq=1,
        end_time=1,
        filename="a\udcff",
        content_type="\ud800",
        detail="\udce9",
    )
    entry = json.loads(encode_message(download, "x"))["data"]
    assert entry["filename"] == "a\N{REPLACEMENT CHARACTER}"
    assert "surrog" not in str(entry)
