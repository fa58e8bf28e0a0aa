"""Limits of the attempts of one download."""

import msgspec

from downloadd.attempt_options import NO_OPTIONS, AttemptOptions, change_attempt_options, select_attempt_options
from downloadd.download_request import DownloadRequest, StartParameters


def test_every_option_is_a_start_parameter() -> None:
    assert set(AttemptOptions.__struct_fields__) <= set(StartParameters.__struct_fields__)


def test_a_request_without_options_has_none() -> None:
    assert select_attempt_options(DownloadRequest(url="u", directory="", segments=2)) is None


def test_zero_is_an_option() -> None:
    options = select_attempt_options(DownloadRequest(url="u", directory="", max_retries=0, stall_timeout=0.0))
    assert options == AttemptOptions(max_retries=0, stall_timeout=0.0)


def test_only_given_options_are_stored() -> None:
    assert msgspec.json.encode(AttemptOptions(min_speed=7)) == b'{"min_speed":7}'


def test_a_change_keeps_the_options_that_it_does_not_give() -> None:
    before = AttemptOptions(max_retries=3, retry_wait=9)
    assert change_attempt_options(before, AttemptOptions(retry_wait=0)) == AttemptOptions(max_retries=3, retry_wait=0)
    assert change_attempt_options(None, NO_OPTIONS) == NO_OPTIONS
