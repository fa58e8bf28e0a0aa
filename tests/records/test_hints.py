"""Hints between nodes."""

import pytest

from downloadd.records.hints import PendingHints, Topic, decode_hint, encode_hint


def test_hints_of_one_moment_are_sent_together() -> None:
    pending = PendingHints()
    assert not pending
    pending.add(Topic.DESIRED, ["a", "b"])
    pending.add(Topic.DESIRED, ["b", "c"])
    pending.add(Topic.ENDS, [])
    assert pending
    assert pending.take(3) == {Topic.DESIRED: ("a", "b", "c"), Topic.ENDS: ()}
    assert pending.take(3) == {}


def test_a_hint_with_too_many_downloads_is_for_all_of_them() -> None:
    pending = PendingHints()
    pending.add(Topic.DESIRED, ["a", "b"])
    assert pending.take(1) == {Topic.DESIRED: ()}
    pending.add(Topic.DESIRED, [])
    pending.add(Topic.DESIRED, ["a"])
    assert pending.take(1) == {Topic.DESIRED: ()}


@pytest.mark.parametrize("ids", [[], ["a"], ["a", "b"]])
def test_a_message_is_read_by_other_sessions_only(ids: list[str]) -> None:
    message = encode_hint("mine", Topic.DESIRED, ids)
    assert decode_hint(message, "other") == (Topic.DESIRED, ids)
    assert decode_hint(message, "mine") is None


@pytest.mark.parametrize("message", ["", "session", "session topic-of-a-newer-version a", "  "])
def test_a_message_that_is_not_understood_is_ignored(message: str) -> None:
    assert decode_hint(message, "mine") is None
