"""Decision on rules by the response of the origin."""

from collections.abc import Sequence

import pytest
from support.sample_downloads import sample_download

from downloadd.attempt_options import AttemptOptions
from downloadd.download import Conflict, PendingRule
from downloadd.transfer.pending_rules import apply_rule, decide_rules, select_rule

MIB = 1 << 20


@pytest.mark.parametrize(
    ("rule", "content_type", "size", "is_met"),
    [
        (PendingRule(name="r", types=("video/*",)), "Video/MP4; codecs=x", None, True),
        (PendingRule(name="r", types=("audio/*", "video/mp4")), "video/mp4", 1, True),
        (PendingRule(name="r", types=("video/*",)), "image/png", 1, False),
        (PendingRule(name="r", types=("video/*",)), "application/octet-stream", 1, False),
        (PendingRule(name="r", types=("application/octet-stream",)), "application/octet-stream", 1, True),
        (PendingRule(name="r", types=("*/*",)), None, 1, False),
        (PendingRule(name="r", min_size=MIB), None, MIB, True),
        (PendingRule(name="r", min_size=MIB), None, MIB - 1, False),
        (PendingRule(name="r", max_size=MIB), None, MIB, True),
        (PendingRule(name="r", max_size=MIB), None, MIB + 1, False),
        (PendingRule(name="r", max_size=MIB), None, None, False),
        (PendingRule(name="r", types=("video/*",), min_size=2), "video/mp4", 1, False),
    ],
)
def test_a_rule_needs_all_of_its_conditions(
    rule: PendingRule, content_type: str | None, size: int | None, is_met: bool
) -> None:
    assert (select_rule([rule], content_type=content_type, size=size) is rule) == is_met


@pytest.mark.parametrize(
    ("content_type", "size", "directory"), [("video/mp4", 5, "small"), ("video/mp4", 50, "films"), ("a/b", 50, "other")]
)
def test_the_first_rule_that_is_met_decides_and_none_is_left(content_type: str, size: int, directory: str) -> None:
    rules: Sequence[PendingRule] = (
        PendingRule(name="1", max_size=9, directory="small"),
        PendingRule(name="2", types=("video/*",), directory="films"),
        PendingRule(name="3", directory="later", types=("video/*",)),
    )
    row = sample_download(directory="other").with_request(pending_rules=rules)
    decided = decide_rules(row, content_type=content_type, size=size)
    assert decided == row.with_request(pending_rules=(), directory=directory)


def test_a_rule_changes_its_values_alone() -> None:
    row = sample_download().with_request(attempt_options=AttemptOptions(max_retries=1, retry_wait=5))
    rule = PendingRule(
        name="r", directory="d", conflict=Conflict.SKIP, priority=-5, speed_limit=7, segments=3, max_retries=None
    )
    assert apply_rule(row, PendingRule(name="r")) == row
    assert apply_rule(row, rule) == row.with_request(
        directory="d", conflict=Conflict.SKIP, segments=3, attempt_options=AttemptOptions(retry_wait=5)
    ).with_control(priority=-5, speed_limit=7)
    moved = row.with_control(place=1.5, priority=9)
    assert apply_rule(moved, rule).control.priority == 9
