import pytest

from downloadd.cli import formatting
from downloadd.client import ApiError
from downloadd.errors import ErrorCode
from downloadd.states import State


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [(None, "?"), (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (10_235, "10.0 KiB"), (1_047_552, "1023 KiB"),
     (1_048_064, "1.00 MiB"), (5 << 40, "5.00 TiB"), (1 << 80, "1048576 EiB")],
)  # fmt: skip
def test_sizes_are_short(nbytes: int | None, shown: str) -> None:
    assert formatting.format_size(nbytes) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_have_two_units(seconds: float, shown: str) -> None:
    assert formatting.format_duration(seconds) == shown


def test_one_has_the_singular() -> None:
    assert [formatting.format_count(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_every_state_and_error_has_a_label() -> None:
    assert len({formatting.format_state(state) for state in State}) == len(State)
    for code in (*ErrorCode, "unauthorized", "error-unauthorized"):
        assert formatting.get_resolution(code)
        assert formatting.format_error(code, None) != code
    assert formatting.get_resolution("OF_A_NEWER_DAEMON") is None
    assert formatting.format_api_error(ApiError("OF_A_NEWER_DAEMON", 400, detail="it says")) == [
        "OF_A_NEWER_DAEMON: it says."
    ]
    assert formatting.format_api_error(ApiError("QUEUE_FULL", 503, retry_after=61))[1] == "Try again in 1 min 1 s."


def test_control_characters_are_replaced() -> None:
    assert formatting.replace_unprintable("a\x1b[31m\r\n\u202eb") == "a�[31m���b"
