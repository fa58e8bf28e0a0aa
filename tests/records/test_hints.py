"""Hints between nodes."""

import pytest

from downloadd.records.hints import MAX_HINT_IDS, MAX_MESSAGE_IDS, PendingHints, Topic, decode_hint, encode_hint


def test_hints_of_one_moment_are_sent_together() -> None:
    pending = PendingHints()
    assert not pending
    pending.add(Topic.DESIRED, ["a", "b"])
    pending.add(Topic.DESIRED, ["b", "c"])
    pending.add(Topic.ENDS, [])
    assert pending
    assert pending.take() == {Topic.DESIRED: ("a", "b", "c"), Topic.ENDS: ()}
    assert pending.take() == {}


def test_a_hint_with_too_many_downloads_is_for_all_of_them() -> None:
    pending = PendingHints()
    many = [str(number) for number in range(MAX_HINT_IDS)]
    pending.add(Topic.DESIRED, many)
    assert pending.take() == {Topic.DESIRED: tuple(many)}
    pending.add(Topic.DESIRED, [*many, "another"])
    assert pending.take() == {Topic.DESIRED: ()}
    pending.add(Topic.DESIRED, [])
    pending.add(Topic.DESIRED, ["a"])
    assert pending.take() == {Topic.DESIRED: ()}


def test_a_hint_about_many_downloads_has_several_messages_that_the_server_takes() -> None:
    many = [f"{number:036}" for number in range(2 * MAX_MESSAGE_IDS + 1)]
    messages = encode_hint("mine" * 8, Topic.DESIRED, many)
    assert len(messages) == 3
    assert max(map(len, messages)) < 8000
    received = [hint for message in messages if (hint := decode_hint(message, "other"))]
    assert [id for _, ids in received for id in ids] == many
    assert {topic for topic, _ in received} == {Topic.DESIRED}


@pytest.mark.parametrize("ids", [[], ["a"], ["a", "b"]])
def test_a_message_is_read_by_other_sessions_only(ids: list[str]) -> None:
    [message] = encode_hint("mine", Topic.DESIRED, ids)
    assert decode_hint(message, "other") == (Topic.DESIRED, ids)
    assert decode_hint(message, "mine") is None


@pytest.mark.parametrize("message", ["", "session", "session topic-of-a-newer-version a", "  "])
def test_a_message_that_is_not_understood_is_ignored(message: str) -> None:
    assert decode_hint(message, "mine") is None
