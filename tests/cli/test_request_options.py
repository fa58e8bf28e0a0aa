"""Options of `add` for request fields."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from downloadd.cli.add import make_items
from downloadd.cli.request_options import FORM_TYPE, NAMES, pop_request_fields, request_options
from downloadd.client import BatchItem
from downloadd.request_fields import Credentials, Method, RequestFields

URL = "https://a.example/f"


def take(*arguments: str, urls: tuple[str, ...] = (URL,), text: str = "") -> tuple[dict[str, Any], str]:
    """Return the request fields of these arguments, and the output of the command."""
    taken: dict[str, Any] = {}

    @click.command()
    @request_options
    def command(**options: Any) -> None:
        taken.update(pop_request_fields(options, urls))
        assert options == {}

    result = CliRunner().invoke(command, arguments, input=text)
    return taken, result.output


def test_there_is_an_option_for_every_request_field() -> None:
    assert {"auth", "body"} | {*NAMES} == {*RequestFields.__struct_fields__, "user", "password_file", "data"}


def test_nothing_given_is_nothing() -> None:
    assert take() == ({}, "")


def test_the_options_become_fields_of_a_batch_item(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open sesame\nmore\n")
    fields, output = take(
        *("-H", "X-Key: a:b", "--header", "Accept: x/y", "--cookie", "a=1; b=2", "--cookie", "c=3"),
        *("--referer", "https://a.example/", "--user-agent", "B/1", "--proxy", "office"),
        *("--user", "ann", "--password-file", str(tmp_path / "password")),
    )
    assert output == ""
    assert make_items([URL], fields) == [
        BatchItem(
            url=URL,
            timeout=0,
            headers={"X-Key": "a:b", "Accept": "x/y"},
            cookies={"a": "1", "b": "2", "c": "3"},
            referer="https://a.example/",
            user_agent="B/1",
            proxy="office",
            auth=Credentials(user="ann", password="open sesame"),
        )
    ]


def test_data_is_posted_as_a_form_unless_its_type_is_given() -> None:
    fields, _ = take("--data", "a=1")
    assert fields == {"body": "a=1", "method": Method.POST, "headers": {"Content-Type": FORM_TYPE}}
    fields, _ = take("--data", "{}", "--method", "POST", "-H", "content-type: application/json")
    assert fields["headers"] == {"content-type": "application/json"}
    assert take("--method", "POST")[0] == {"method": "POST"}


def test_secrets_are_read_from_files_and_standard_input(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("X-A: 1\n\nX-B: 2\n")
    cookies = tmp_path / "cookies"
    cookies.write_text("a=1\nb=2; c=3\n")
    fields, _ = take("-H", f"@{headers}", "-H", "X-C: 3", "--cookie", f"@{cookies}", "--data", "@-", text="line\n")
    assert fields["headers"] == {"X-A": "1", "X-B": "2", "X-C": "3", "Content-Type": FORM_TYPE}
    assert fields["cookies"] == {"a": "1", "b": "2", "c": "3"}
    assert fields["body"] == "line\n"
    assert take("--user", "ann", "--password-file", "-", text="pass\r\n")[0]["auth"] == {
        "user": "ann",
        "password": "pass",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-H", "no colon"), "the name of the field, a colon and its value"),
        (("-H", "A: 1", "-H", "A: 2"), "A is given twice"),
        (("-H", "@/nonexistent/file"), "/nonexistent/file cannot be read: No such file or directory"),
        (("--password-file", "x"), "--password-file needs --user"),
        (("--user", "ann"), "there is none; use --password-file"),
        (("--user", "ann", "--password-file", "/nonexistent"), "/nonexistent cannot be read"),
        (("--method", "PUT"), "PUT"),
    ],
)
def test_a_mistake_is_explained(arguments: tuple[str, ...], message: str) -> None:
    fields, output = take(*arguments)
    assert fields == {}
    assert message in " ".join(output.split())


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "it is not UTF-8" in take("--data", f"@{tmp_path / 'binary'}")[1]


@pytest.mark.parametrize("arguments", [("-H", "X-Key: k"), ("--cookie", "a=1"), ("--data", "x")])
def test_secrets_are_for_one_origin(arguments: tuple[str, ...]) -> None:
    assert take(*arguments, urls=(URL, "https://u:p@A.example/g"))[0] != {}
    for other in ("https://b.example/f", "http://a.example/f", "https://a.example:444/f", "http://[x"):
        assert "for one origin" in " ".join(take(*arguments, urls=(URL, other))[1].split())
    assert take("--user-agent", "B", "--proxy", "p", urls=(URL, "https://b.example/f"))[0] == {
        "user_agent": "B",
        "proxy": "p",
    }
