"""Options that are made from the fields of structs."""

from typing import Annotated, Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from msgspec import UNSET, Meta, UnsetType

from downloadd.cli.struct_options import FLAGS, given_values, struct_options
from downloadd.download import Conflict
from downloadd.download_request import BYTES_PER_SECOND, SECONDS, StartParameters
from downloadd.fronts.rest.item_bodies import AmendBody


class Sample(msgspec.Struct):
    plain_text: str | None = None
    count: Annotated[int, Meta(ge=1, le=3, description="Number.")] | UnsetType = UNSET
    rate: Annotated[int, Meta(ge=0, description="Rate.", extra=BYTES_PER_SECOND)] = 0
    delay: Annotated[int, Meta(ge=0, description="Delay.", extra=SECONDS)] = 0
    share: Annotated[float, Meta(ge=0, le=1)] | None = None
    quiet: Annotated[bool, Meta(description="Quiet.")] = False
    action: Conflict | None = None


def run(*arguments: str, exclude: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
    taken: dict[str, Any] = {}

    @click.command()
    @struct_options(Sample, exclude=exclude)
    def command(**options: Any) -> None:
        taken.update(options)

    return taken, CliRunner().invoke(command, arguments).output


def test_every_field_has_an_option_of_its_type() -> None:
    options, output = run(
        *("--plain-text", "x"), *("--count", "2"), *("--rate", "1 KiB"), *("--delay", "4"), *("--action", "skip"),
        *("--share", "0.5", "--quiet"),
    )  # fmt: skip
    assert output == ""
    assert options == {
        "plain_text": "x",
        "count": 2,
        "rate": 1024,
        "delay": 4,
        "share": 0.5,
        "quiet": True,
        "action": "skip",
    }


def test_an_option_that_is_not_given_has_no_value() -> None:
    options, _ = run("--count", "1")
    assert given_values(options) == {"count": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--count", "4"), "4 is not in the range 1<=x<=3"),
        (("--share", "2"), "2.0 is not in the range 0<=x<=1"),
        (("--rate", "fast"), "expected a size in bytes"),
        (("--action", "x"), "is not one of 'rename', 'overwrite', 'skip', 'error'"),
    ],
)
def test_a_value_that_the_field_does_not_allow_is_refused(arguments: tuple[str, str], message: str) -> None:
    options, output = run(*arguments)
    assert options == {}
    assert message in output


def test_the_help_has_the_descriptions_and_units_in_the_order_of_the_fields() -> None:
    _, output = run("--help")
    words = ["--plain-text TEXT", "--count", "Number.", "--rate SIZE", "Rate. Example: '2 MiB'.", "--delay SECONDS"]
    assert [output.index(word) for word in words] == sorted(output.index(word) for word in words)


def test_an_excluded_field_has_no_option() -> None:
    assert "No such option" in run("--count", "1", exclude=("count",))[1]


def test_every_special_flag_is_that_of_a_field() -> None:
    assert set(FLAGS) <= {*StartParameters.__struct_fields__, *AmendBody.__struct_fields__}
