"""Differences between the settings of nodes."""

from support.node_reports import node_report

from downloadd.node import Node, configured_hooks, find_differences, is_store_reporter


def node(name: str, *, is_gone: bool = False, **settings: str) -> Node:
    return Node(report=node_report(name=name, settings=settings), last_seen=0.0, is_gone=is_gone)


def test_a_setting_differs_if_it_is_not_that_of_most_living_nodes() -> None:
    nodes = [
        node("a", lease="15", limit="3"),
        node("b", lease="15", limit="2"),
        node("c", lease="20", limit="2"),
        node("d", lease="20", limit="2", is_gone=True),
        node("e", lease="20", limit="2", is_gone=True),
    ]
    assert find_differences(nodes) == {"a": ["limit"], "b": [], "c": ["lease"], "d": ["lease"], "e": ["lease"]}


def test_of_two_nodes_the_second_one_differs() -> None:
    assert find_differences([node("b", x="1"), node("a", x="2")]) == {"b": ["x"], "a": []}


def test_a_setting_that_only_some_nodes_know_differs_too() -> None:
    assert find_differences([node("a", x="1"), node("b", x="1"), node("c")]) == {"a": [], "b": [], "c": ["x"]}


def test_without_nodes_nothing_differs() -> None:
    assert find_differences([]) == {}
    assert find_differences([node("a", x="1", is_gone=True)]) == {"a": []}


def test_one_living_node_reports_what_is_the_same_on_all() -> None:
    nodes = [
        Node(report=node_report(name="alpha"), last_seen=0.0, is_gone=True),
        Node(report=node_report(name="beta", hooks=("a", "b")), last_seen=0.0),
        Node(report=node_report(name="gamma", hooks=("b",)), last_seen=0.0),
    ]
    assert [is_store_reporter(name, nodes) for name in ("alpha", "beta", "gamma")] == [False, True, False]
    assert is_store_reporter("alpha", [])
    assert configured_hooks(nodes) == {"a", "b"}
