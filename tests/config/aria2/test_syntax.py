from hypothesis import given
from hypothesis import strategies as st

from downloadd.config.aria2.syntax import ConfOption, parse_options


def test_a_line_has_a_name_and_a_value() -> None:
    text = "\ufeffdir=/a\n# dir=/b\n\n  split = 5 \r\n   # indented\nheader=A: b=c\ncontinue\nout=\n"
    assert [(option.line, option.name, option.value) for option in parse_options(text)] == [
        (1, "dir", "/a"),
        (4, "split", "5"),
        (6, "header", "A: b=c"),
        (7, "continue", ""),
        (8, "out", ""),
    ]


def test_the_name_of_a_line_that_may_hold_a_secret_is_not_kept() -> None:
    lines = ["rpc-secret: s3cret", "s3cret s3cret=1", "=s3cret", "s3cret/x"]
    assert {option.name for option in parse_options("\n".join(lines))} == {""}


@given(st.text())
def test_every_line_with_text_is_an_option_or_a_comment(text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    expected = [n for n, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith("#")]
    options = parse_options(text)
    assert [option.line for option in options] == expected
    assert all(isinstance(option, ConfOption) for option in options)
