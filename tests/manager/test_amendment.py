"""Changes of requests by users."""

from typing import Any

import pytest
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.attempt_options import AttemptOptions
from downloadd.download import Conflict, Download, Mirror, PendingRule, SupersededPart
from downloadd.errors import InvalidStateError
from downloadd.manager.amendment import (
    CheckedChange,
    NewUrl,
    adopt_request,
    amend,
    is_publication_changed,
    require_retryable,
    use_requested_name,
)
from downloadd.manager.run_restart import RestartNeededError
from downloadd.policy.url import parse_url
from downloadd.request_fields import Method, RequestFields
from downloadd.states import ACTIVE, FINISHED, RUNNING, State

NEW_URL = NewUrl(url="http://b/x?sig=1", redacted_url="http://b/x?sig=***", origin="http://b")
FIELDS = RequestFields(headers=(("X-Key", "k"),), proxy="office", method=Method.POST, body="b")
WITHOUT_A_RUN = sorted(ACTIVE - RUNNING)
PLACES = [
    CheckedChange(directory="new"),
    CheckedChange(requested_name="new"),
    CheckedChange(conflict=Conflict.SKIP),
    CheckedChange(requested_checksum="md5=0"),
]


def download(state: State = State.PAUSED, **changes: Any) -> Download:
    return sample_download(
        1, state=state, directory="old", filename="f", received=5, validator='"v"', part_name=".f.part"
    ).with_request(**changes)


# -- states ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_a_finished_download_is_not_changed(state: State) -> None:
    for change in (CheckedChange(priority=1, speed_limit=1), *PLACES):
        with pytest.raises(InvalidStateError, match=f"{state} already"):
            amend(download(state), change)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.SKIPPED])
def test_a_finished_download_that_can_be_retried_takes_a_url_and_keeps_its_part(state: State) -> None:
    before = with_fields(download(state), secrets_removed=True)
    after = amend(before, CheckedChange(url=NEW_URL, priority=4))
    assert (after.state, after.request.url, after.control.priority) == (state, NEW_URL.url, 4)
    assert (after.progress.part_name, after.progress.url_changed, after.progress.origin) == (
        ".f.part",
        True,
        "http://b",
    )
    assert not after.result.secrets_removed


def test_a_completed_or_refused_download_takes_no_url() -> None:
    for before in (download(State.COMPLETED), with_fields(download(State.FAILED), origin="")):
        with pytest.raises(InvalidStateError):
            require_retryable(before)
        with pytest.raises(InvalidStateError):
            amend(before, CheckedChange(url=NEW_URL))


@pytest.mark.parametrize("state", sorted(RUNNING))
@pytest.mark.parametrize(
    "change",
    [CheckedChange(url=NEW_URL), CheckedChange(mirrors=()), CheckedChange(fields=None)],
    ids=["url", "mirrors", "fields"],
)
def test_what_its_requests_consist_of_is_not_changed_while_it_runs(state: State, change: CheckedChange) -> None:
    with pytest.raises(RestartNeededError):
        amend(download(state), change)
    amend(download(state), change.without_requests)
    amend(download(State.PAUSED), change)


@pytest.mark.parametrize("change", PLACES)
def test_nothing_about_a_file_that_is_being_published_is_changed(change: CheckedChange) -> None:
    for state in (State.VERIFYING, State.RETRYING):
        with pytest.raises(InvalidStateError, match="being published"):
            amend(with_fields(download(state), publishing=True), change)
    amend(with_fields(download(State.VERIFYING), publishing=True), CheckedChange(priority=3))


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_only_given_values_are_changed(state: State) -> None:
    before = download(state, requested_name="f", attempt_options=AttemptOptions(max_retries=3))
    assert amend(before, CheckedChange()) == before
    after = amend(
        before,
        CheckedChange(
            speed_limit=7,
            requested_name="new",
            conflict=Conflict.ERROR,
            requested_checksum="md5=0",
            segments=4,
            options=AttemptOptions(retry_wait=9),
        ),
    )
    assert (after.control.priority, after.control.speed_limit, after.filename) == (0, 7, "new")
    assert (
        after.request
        == before.with_request(
            requested_name="new",
            conflict=Conflict.ERROR,
            requested_checksum="md5=0",
            segments=4,
            attempt_options=AttemptOptions(max_retries=3, retry_wait=9),
        ).request
    )


def test_request_fields_are_replaced_as_a_whole() -> None:
    before = download(fields=FIELDS)
    other = RequestFields(cookies=(("a", "b"),))
    assert amend(before, CheckedChange(fields=other)).request.fields == other
    assert amend(before, CheckedChange(fields=None)).request.fields is None
    assert amend(before, CheckedChange(priority=1)).request.fields == FIELDS


def test_other_mirrors_are_asked_after_the_url() -> None:
    before = with_fields(download(mirrors=(Mirror(url="http://m/1"), Mirror(url="http://m/2"))), source=2)
    mirrors = (Mirror(url="http://m/3"), Mirror(url=before.request.url))
    after = amend(before, CheckedChange(mirrors=mirrors))
    assert after.request.mirrors == (Mirror(url="http://m/3"),)
    assert (after.progress.source, after.progress.origin) == (0, parse_url(before.request.url).origin)
    assert after.progress.validator == '"v"'


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/other?x", FIELDS),
        ("https://b.example/data.csv", RequestFields(proxy="office")),
        ("http://a.example/data.csv", RequestFields(proxy="office")),
        ("https://a.example:444/data.csv", RequestFields(proxy="office")),
    ],
)
def test_the_request_fields_stay_with_the_origin_that_they_were_given_for(url: str, expected: RequestFields) -> None:
    before = download(url="https://a.example/data.csv", redacted_url="", fields=FIELDS)
    new = NewUrl(url=url, redacted_url=url, origin=parse_url(url).origin)
    assert amend(before, CheckedChange(url=new)).request.fields == expected


# -- the directory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", WITHOUT_A_RUN)
def test_a_part_file_stays_in_its_directory(state: State) -> None:
    once = amend(download(state), CheckedChange(directory="new"))
    assert (once.request.directory, once.part_directory, once.file_path) == ("new", "old", "new/f")
    twice = amend(once, CheckedChange(directory=""))
    assert (twice.request.directory, twice.part_directory) == ("", "old")
    back = amend(twice, CheckedChange(directory="old"))
    assert (back.request.directory, back.request.part_directory) == ("old", None)


@pytest.mark.parametrize("state", WITHOUT_A_RUN)
def test_a_download_without_a_part_file_begins_one_in_its_new_directory(state: State) -> None:
    before = with_fields(download(state), part_name=None)
    assert amend(before, CheckedChange(directory="new")).part_directory == "new"
    superseded = SupersededPart(part_name=".f.part", received=9)
    assert amend(with_fields(before, superseded=superseded), CheckedChange(directory="new")).part_directory == "old"


@pytest.mark.parametrize("state", sorted(RUNNING))
def test_a_run_may_have_a_part_file_that_is_not_recorded_yet(state: State) -> None:
    before = with_fields(download(state), part_name=None)
    assert amend(before, CheckedChange(directory="new")).part_directory == "old"


# -- for runs ----------------------------------------------------------------------------------------------------------


def test_a_run_takes_a_new_name_and_keeps_the_one_of_the_origin_otherwise() -> None:
    known = download()
    assert adopt_request(known, known.with_request(segments=3).request).filename == "f"
    assert adopt_request(known, known.with_request(requested_name="n").request).filename == "n"
    numbered = with_fields(known.with_request(requested_name="n"), filename="n (1)")
    assert adopt_request(numbered, numbered.request).filename == "n (1)"


def test_a_run_begins_with_the_requested_name_unless_the_file_has_its_name_already() -> None:
    known = download(requested_name="n")
    assert use_requested_name(known).filename == "n"
    assert use_requested_name(with_fields(known, publishing=True)).filename == "f"
    assert use_requested_name(download()).filename == "f"


@pytest.mark.parametrize(
    ("changes", "is_changed"),
    [
        ({"directory": "new"}, True),
        ({"requested_name": "n"}, True),
        ({"conflict": Conflict.SKIP}, True),
        ({"requested_checksum": "md5=0"}, True),
        ({"segments": 9, "part_directory": "x"}, False),
    ],
)
def test_only_some_fields_decide_the_publication(changes: dict[str, Any], is_changed: bool) -> None:
    assert is_publication_changed(download().request, download(**changes).request) is is_changed


# -- time of the start -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", WITHOUT_A_RUN)
def test_the_time_of_the_start_is_changed_before_it(state: State) -> None:
    assert amend(download(state), CheckedChange(not_before=5)).control.not_before == 5
    assert amend(amend(download(state), CheckedChange(not_before=5)), CheckedChange()).control.not_before == 5


@pytest.mark.parametrize("state", sorted(RUNNING))
def test_a_running_download_gets_no_time(state: State) -> None:
    with pytest.raises(InvalidStateError, match="pause it"):
        amend(download(state), CheckedChange(not_before=5))


def test_what_a_user_states_is_not_changed_by_a_rule_that_is_decided_later() -> None:
    rule = PendingRule(
        name="r", directory="d", conflict=Conflict.SKIP, priority=1, speed_limit=2, segments=3, max_retries=4
    )
    waiting = download(State.QUEUED, pending_rules=(rule,))
    assert amend(waiting, CheckedChange(requested_name="n")).request.pending_rules == (rule,)
    change = CheckedChange(
        directory="e", conflict=Conflict.ERROR, priority=0, speed_limit=0, segments=1,
        options=AttemptOptions(max_retries=0),
    )  # fmt: skip
    assert amend(waiting, change).request.pending_rules == (PendingRule(name="r"),)
