from typing import Any

import pytest

from downloadd.config import RuleConfig
from downloadd.download import Conflict
from downloadd.download_request import DownloadRequest
from downloadd.download_rules import DownloadRules

NOW = 1_773_014_400.0
"""2026-03-09."""


def request(url: str = "https://files.example.com/a/image.ISO", **fields: Any) -> DownloadRequest:
    return DownloadRequest(**({"url": url, "directory": "inbox"} | fields))


def rule_of(given: DownloadRequest, *rules: RuleConfig, user: str = "ann") -> str | None:
    return DownloadRules(rules).apply(given, user=user, now=NOW).rule


@pytest.mark.parametrize(
    ("conditions", "applies"),
    [
        ({}, True),
        ({"hosts": ("files.example.com",)}, True),
        ({"hosts": ("*.example.com",)}, True),
        ({"hosts": ("example.com",)}, False),
        ({"extensions": ("iso",)}, True),
        ({"extensions": (".Iso",)}, True),
        ({"extensions": ("img", "so")}, False),
        ({"directory": "inbox"}, True),
        ({"directory": "in*"}, True),
        ({"directory": "inbox/deep"}, False),
        ({"users": ("ann",)}, True),
        ({"users": ("bob",)}, False),
        ({"hosts": ("files.example.com",), "extensions": ("img",)}, False),
    ],
)
def test_a_rule_applies_if_all_of_its_conditions_are_met(conditions: dict[str, Any], applies: bool) -> None:
    assert rule_of(request(), RuleConfig(name="r", **conditions)) == ("r" if applies else None)


def test_the_requested_name_has_precedence_over_the_url() -> None:
    rule = RuleConfig(name="r", extensions=("tar.gz",))
    assert rule_of(request(filename="a.TAR.GZ"), rule) == "r"
    assert rule_of(request("https://h/a.tar.gz", filename="a.bin"), rule) is None


def test_the_first_rule_that_is_for_it_applies_alone() -> None:
    first, second = RuleConfig(name="1", priority=5), RuleConfig(name="2", segments=4)
    ruled = DownloadRules([first, second]).apply(request(), user="ann", now=NOW)
    assert (ruled.rule, ruled.request.priority, ruled.request.segments) == ("1", 5, None)


def test_a_rule_gives_what_the_request_leaves_out() -> None:
    rule = RuleConfig(
        name="r", priority=-10, speed_limit=5000, segments=4, timeout=60, max_retries=2, conflict=Conflict.OVERWRITE,
        proxy="office",
    )  # fmt: skip
    rules = DownloadRules([rule])
    completed = rules.apply(request(), user="ann", now=NOW).request
    assert (completed.priority, completed.speed_limit, completed.segments) == (-10, 5000, 4)
    assert (completed.timeout, completed.max_retries, completed.conflict, completed.proxy) == (
        60, 2, Conflict.OVERWRITE, "office",
    )  # fmt: skip
    given = request(
        priority=1, speed_limit=2, segments=3, timeout=0, max_retries=0, conflict=Conflict.ERROR, proxy="other"
    )
    assert rules.apply(given, user="ann", now=NOW).request == given


@pytest.mark.parametrize(
    ("template", "directory", "expected"),
    [
        ("{directory}/{host}/{year}-{month}", "inbox", "inbox/files.example.com/2026-03"),
        ("{directory}/{host}", "", "files.example.com"),
        ("{directory}/x", "/a//b/", "a/b/x"),
        ("by-user/{user}/{day}", "inbox", "by-user/ann/09"),
        ("fixed", "inbox", "fixed"),
        ("{user}/x", "inbox", "ann/x"),
    ],
)
def test_the_directory_follows_the_template(template: str, directory: str, expected: str) -> None:
    rules = DownloadRules([RuleConfig(name="r", save_to=template)])
    assert rules.apply(request(directory=directory), user="ann", now=NOW).request.directory == expected


def test_a_host_or_user_with_a_reserved_name_gets_another_directory() -> None:
    rules = DownloadRules([RuleConfig(name="r", save_to="{host}/x")])
    assert rules.apply(request("http://api/f"), user="ann", now=NOW).request.directory == "_api/x"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(request("no url"), id="url"),
        # A rule that made it safe would save a file where nobody asked for it.
        pytest.param(request(directory="../../etc"), id="directory"),
    ],
)
def test_a_request_that_will_be_refused_is_left_to_admission(given: DownloadRequest) -> None:
    rules = DownloadRules([RuleConfig(name="r", save_to="{directory}/x", priority=5)])
    assert rules.apply(given, user="ann", now=NOW).request == given


def test_rules_that_need_the_response_are_alternatives_to_the_first_one_that_does_not() -> None:
    rules = [
        RuleConfig(name="films", types=("video/*",), save_to="films/{user}", priority=2),
        RuleConfig(name="elsewhere", types=("video/*",), hosts=("other.example",)),
        RuleConfig(name="big", min_size=10, max_size=20),
        RuleConfig(name="images", extensions=("iso",), priority=1, proxy="office"),
        RuleConfig(name="late", types=("text/*",)),
        RuleConfig(name="never"),
    ]
    ruled = DownloadRules(rules).apply(request(), user="ann", now=NOW)
    films, big = ruled.request.alternatives
    assert (ruled.rule, ruled.request.priority, ruled.request.proxy) == ("images", 1, "office")
    assert (films.rule, films.types, films.request) == (
        "films", ("video/*",), request(directory="films/ann", priority=2)
    )  # fmt: skip
    assert (big.rule, big.min_size, big.max_size, big.request) == ("big", 10, 20, request())
    assert ruled.directories == ["inbox", "films/ann", "inbox"]
    assert DownloadRules(rules[:1]).apply(request(), user="ann", now=NOW).rule is None


def test_without_rules_a_request_stays_as_it_is() -> None:
    given = request()
    assert DownloadRules().apply(given, user="ann", now=NOW).request is given
