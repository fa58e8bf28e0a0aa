"""`probe`, in this process."""

import click
import pytest
from cli.conftest import Command
from msgspec.structs import replace
from support.fake_prober import FOUND
from support.served_api import ServedApi

from downloadd.cli.add import add
from downloadd.cli.probe import list_facts, probe
from downloadd.fronts.rest.item_bodies import PROBE_PARAMETERS
from downloadd.fronts.rest.probe import make_probe_response

FACTS = make_probe_response(FOUND)


def test_all_facts_are_listed() -> None:
    names = [name for name, _ in list_facts(replace(FACTS, warning="look"))]
    assert names == [
        "file", "size", "type", "from", "redirects", "ranges", "resume", "entity tag", "modified", "checksum",
        "warning",
    ]  # fmt: skip


def test_what_is_not_known_is_left_out_but_the_size() -> None:
    unknown = replace(
        FACTS, redirects=0, size=None, content_type=None, ranges=False, etag=None, last_modified=None, checksum=None,
        resumable=False,
    )  # fmt: skip
    assert list_facts(unknown) == [
        ("file", "data.zip"),
        ("size", "unknown"),
        ("from", "https://cdn.example/data.zip"),
        ("ranges", "no"),
        ("resume", "not possible: a download that breaks off starts over"),
    ]


def test_the_options_are_those_of_a_download_that_concern_the_answer() -> None:
    def options(command: click.Command) -> dict[str | None, list[str]]:
        return {parameter.name: parameter.opts for parameter in command.params}

    own = options(probe)
    assert set(own) - {"url", "as_json"} == {
        *PROBE_PARAMETERS, "user", "password_file", "data",
    } - {"auth", "body"}  # fmt: skip
    assert {name: opts for name, opts in own.items() if name != "url"}.items() <= options(add).items()


async def test_control_characters_of_an_origin_do_not_reach_the_terminal(api: ServedApi, command: Command) -> None:
    api.prober.result = replace(FOUND, entity_tag='"\x1b[2J"')
    output = (await command("probe", "https://a.example/f")).output
    assert "\x1b" not in output
    assert '"\N{REPLACEMENT CHARACTER}[2J"' in output


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("-H", "X-Key: k"), {"headers": {"X-Key": "k"}}),
        (("--cookie", "a=1"), {"cookies": {"a": "1"}}),
        (("--referer", "https://r/"), {"referer": "https://r/"}),
        (("--name", "n"), {"filename": "n"}),
        (("--type", "image/*"), {"type": "image/*"}),
    ],
)
async def test_options_reach_the_daemon(
    api: ServedApi, command: Command, arguments: tuple[str, ...], fields: dict[str, object]
) -> None:
    assert (await command("probe", *arguments, "https://a.example/f")).exit_code == 0
    [request] = api.prober.requests
    assert {name: getattr(request, name) for name in fields} == fields
