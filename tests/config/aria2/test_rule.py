from collections.abc import Callable
from typing import Any

import pytest

from downloadd.config.aria2.rule import Conf, OptionError
from downloadd.config.aria2.syntax import parse_options


def conf(text: str, home: str = "/home/ann") -> Conf:
    return Conf({option.name: option for option in parse_options(text)}, home)


def test_an_option_that_is_not_given_has_its_default() -> None:
    empty = conf("")
    assert (empty.line("split"), empty.text("split"), empty.number("split", 5)) == (0, "", 5)
    assert (empty.size("max-tries"), empty.path("dir"), empty.flag("pause")) == (0, "", False)
    assert empty.flag("pause", default=True)


def test_an_option_has_the_value_of_its_kind() -> None:
    given = conf("split=3\nmax-download-limit=1K\ndir=~/x\npause=true\n")
    assert (given.line("split"), given.text("split"), given.number("split", 5)) == (1, "3", 3)
    assert (given.size("max-download-limit"), given.path("dir"), given.flag("pause")) == (1024, "/home/ann/x", True)


@pytest.mark.parametrize(
    "read",
    [
        lambda conf: conf.text("x"),
        lambda conf: conf.number("x", 1),
        lambda conf: conf.size("x"),
        lambda conf: conf.path("x"),
    ],
)
def test_a_line_without_a_value_is_reported(read: Callable[[Conf], Any]) -> None:
    with pytest.raises(OptionError) as caught:
        read(conf("x\n"))
    assert (caught.value.option, str(caught.value)) == ("x", "the line has no =; write x=value")
    assert conf("x\n").flag("x"), "aria2 takes it for true"
    assert conf("x=\n").text("x") == ""


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (lambda conf: conf.number("x", 1, 1), "expected a number from 1 on"),
        (lambda conf: conf.size("x"), "expected a number of bytes, such as 1048576, 1024K or 1M"),
        (lambda conf: conf.flag("x"), "expected true or false"),
        (lambda conf: conf.path("x"), "names the home directory, but the daemon has no HOME; write the whole path"),
    ],
)
def test_an_impossible_value_is_reported_with_its_option(read: Callable[[Conf], Any], problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        read(conf("x=~/s3cret", home=""))
    assert (caught.value.option, str(caught.value)) == ("x", problem)
