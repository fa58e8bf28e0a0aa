"""Batch items of `add`."""

import time

import click
import pytest

from downloadd.cli.add import add, make_items
from downloadd.cli.parameters import INSTANT
from downloadd.client import BatchItem
from downloadd.download import Conflict
from downloadd.download_request import StartParameters


def test_each_url_has_an_item_with_all_given_parameters() -> None:
    given = {"directory": "d", "timeout": 5, "conflict": "skip", "speed_limit": 7, "priority": None, "mirrors": ()}
    assert make_items(["http://a", "http://b"], given) == [
        BatchItem(url=url, directory="d", timeout=5, conflict=Conflict.SKIP, speed_limit=7, mirrors=[])
        for url in ("http://a", "http://b")
    ]


def test_without_a_timeout_none_ends_the_download_and_the_root_is_the_directory() -> None:
    assert make_items(["http://a"], {"timeout": None}) == [BatchItem(url="http://a", timeout=0)]
    [directory] = [parameter for parameter in add.params if parameter.name == "directory"]
    assert directory.default == ""


def test_there_must_be_a_url() -> None:
    with pytest.raises(click.UsageError, match="at least one URL"):
        make_items([], {})


@pytest.mark.parametrize("parameters", [{"filename": "f"}, {"mirrors": ("http://b",)}, {"checksum": "md5=x"}])
def test_a_parameter_for_one_file_needs_one_url(parameters: dict[str, object]) -> None:
    assert len(make_items(["http://a"], parameters)) == 1
    with pytest.raises(click.UsageError, match="for one file"):
        make_items(["http://a", "http://b"], parameters)


def test_every_start_parameter_has_an_option() -> None:
    assert set(StartParameters.__struct_fields__) <= {parameter.name for parameter in add.params}


@pytest.mark.parametrize("text", ["18:00", "+2h", "2126-12-24T18:00", "2126-12-24T18:00:00+01:00", "4953636000"])
def test_a_time_is_that_of_this_machine(text: str) -> None:
    before = time.time()
    given = INSTANT.convert(text, None, None)
    assert given > before
    if text == "+2h":
        assert given == pytest.approx(before + 7200, abs=60)
    if text == "18:00":
        assert time.localtime(given)[3:6] == (18, 0, 0)
        assert given < before + 90_000


@pytest.mark.parametrize("text", ["soon", "25:00", "+2y", "2026-12-40"])
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a"):
        INSTANT.convert(text, None, None)
