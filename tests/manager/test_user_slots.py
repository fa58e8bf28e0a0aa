"""Slots of users."""

from downloadd.manager.limits import Limits
from downloadd.manager.user_slots import UserHold, UserSlots, name_slots, user_of

LIMITS = Limits(max_concurrent=9, max_per_host=9, runs_by_user={"alice": 2})


def test_runs_of_other_nodes_count_too() -> None:
    slots = UserSlots()
    slots.begin("alice")
    assert slots.free_slots("alice", LIMITS) == 1
    slots.used = {name_slots("alice"): 3}
    assert (slots.count_running("alice"), slots.free_slots("alice", LIMITS)) == (4, 0)
    slots.held = {"bob": UserHold(text="used up", until=1)}
    assert slots.full_users(LIMITS) == {"alice", "bob"}
    slots.used, slots.held = {}, {}
    assert slots.full_users(LIMITS) == frozenset()
    slots.end("alice")
    assert (slots.count_running("alice"), slots.free_slots("alice", LIMITS)) == (0, 2)


def test_a_user_without_a_limit_has_slots_unless_held() -> None:
    slots = UserSlots()
    slots.begin("bob")
    assert slots.free_slots("bob", LIMITS) > 100
    slots.held = {"bob": UserHold(text="used up", until=1)}
    assert slots.free_slots("bob", LIMITS) == 0


def test_names_of_slots_are_those_of_no_origin() -> None:
    assert user_of(name_slots("https://a.example")) == "https://a.example"
    assert user_of("https://a.example") is None
