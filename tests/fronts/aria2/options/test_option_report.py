"""Options as getOption and getGlobalOption report them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.attempt_options import AttemptOptions
from downloadd.clock import SystemClock
from downloadd.config import DownloadsConfig
from downloadd.download import Conflict, Download
from downloadd.fronts.aria2.options.download_options import make_request
from downloadd.fronts.aria2.options.option_report import FIXED, end_header_lines, report_defaults, report_options
from downloadd.fronts.aria2.options.option_table import OPTIONS
from downloadd.fronts.aria2.options.options import DOWNLOAD_USES, GLOBAL_USES, read_options
from downloadd.manager.admission import admit
from downloadd.policy.addresses import AddressRules
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.domains import DomainRules
from downloadd.policy.policy import Policy
from downloadd.request_fields import Credentials, RequestFields

ROOT = "/srv/files"
CONFIG = DownloadsConfig()
DOWNLOAD = sample_download(seq=1)
LEAST = {
    *("dir", "split", "max-connection-per-server", "min-split-size", "max-download-limit", "allow-overwrite"),
    *("auto-file-renaming", "continue", "max-tries", "retry-wait", "timeout", "connect-timeout", "remote-time"),
    "user-agent",
}
"""Options that clients expect always."""


def report(download: Download, config: DownloadsConfig = CONFIG, *, shows_secrets: bool = True) -> dict[str, str]:
    return report_options(download, config, ROOT, shows_secrets=shows_secrets)


def restart(download: Download) -> Download:
    """Return the download that AriaNg's retry makes of another one."""
    options = end_header_lines(report(download))
    return admit(
        make_request(read_options(options, DOWNLOAD_USES), [download.request.url], root=ROOT),
        policy=Policy(domains=DomainRules(()), addresses=AddressRules(())),
        directories=DirectoryRules(),
        defaults=CONFIG,
        user="u",
        now=SystemClock().wall(),
        id=download.id,
    )


def test_the_least_options_are_always_there() -> None:
    assert report_defaults(CONFIG, ROOT).keys() >= LEAST
    assert report(DOWNLOAD).keys() >= LEAST


def test_a_retry_must_not_send_these_back() -> None:
    assert not {"gid", "pause", "out", "header", "referer", "checksum", "http-user"} & report(DOWNLOAD).keys()


def test_defaults_are_those_of_the_configuration() -> None:
    config = DownloadsConfig(segments=3, max_retries=4, stall_timeout=30)
    defaults = report_defaults(config, ROOT)
    assert (defaults["split"], defaults["max-connection-per-server"], defaults["max-tries"]) == ("3", "3", "5")
    assert (defaults["timeout"], defaults["connect-timeout"]) == ("30", "30")
    assert (defaults["dir"], report_defaults(CONFIG, ROOT)["max-tries"]) == (ROOT, "0")


def test_a_time_that_aria2_has_no_value_for_is_left_out() -> None:
    assert "timeout" not in report_defaults(DownloadsConfig(stall_timeout=0), ROOT)
    assert "timeout" not in report_defaults(DownloadsConfig(stall_timeout=601), ROOT)
    own = with_fields(DOWNLOAD, attempt_options=AttemptOptions(stall_timeout=0, connect_timeout=0.2))
    assert "timeout" not in report(own)
    assert report(own)["connect-timeout"] == "1"


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"directory": "a/b"}, {"dir": "/srv/files/a/b"}),
        ({"requested_name": "f"}, {"out": "f"}),
        ({"requested_checksum": "md5=00"}, {"checksum": "md5=00"}),
        ({"segments": 7}, {"split": "7", "max-connection-per-server": "7"}),
        ({"speed_limit": 5}, {"max-download-limit": "5"}),
        ({"conflict": Conflict.OVERWRITE}, {"allow-overwrite": "true", "auto-file-renaming": "true"}),
        ({"conflict": Conflict.ERROR}, {"allow-overwrite": "false", "auto-file-renaming": "false"}),
        ({"skip_same": True}, {"conditional-get": "true"}),
        ({"conflict": Conflict.RENAME}, {"allow-overwrite": "false", "auto-file-renaming": "true"}),
        ({"attempt_options": AttemptOptions(max_retries=0, retry_wait=9)}, {"max-tries": "1", "retry-wait": "9"}),
        ({"attempt_options": AttemptOptions(min_speed=3, retry_wait=999)}, {"lowest-speed-limit": "3"}),
        ({"fields": RequestFields(user_agent="x/1")}, {"user-agent": "x/1"}),
    ],
)
def test_what_was_given_is_reported(fields: dict[str, Any], options: dict[str, str]) -> None:
    made = report(with_fields(DOWNLOAD, **fields))
    assert {name: made[name] for name in options} == options


def test_request_fields_are_secrets() -> None:
    fields = RequestFields(headers=(("A", "b"),), cookies=(("c", "d"),), auth=Credentials(user="u", password="p"))
    download = with_fields(DOWNLOAD, fields=fields)
    secret = {"header": "A: b\nCookie: c=d", "http-user": "u", "http-passwd": "p"}
    assert report(download) == {**report(download, shows_secrets=False), **secret}


def test_header_fields_are_lines() -> None:
    assert end_header_lines({"header": "A: b\nC: d", "dir": "x"}) == {"header": "A: b\nC: d\n", "dir": "x"}
    assert end_header_lines({"header": ""}) == {"header": ""}


def test_every_reported_option_is_taken_back() -> None:
    for options in (report(DOWNLOAD), report_defaults(CONFIG, ROOT)):
        assert options.keys() <= OPTIONS.keys()
        for uses in (DOWNLOAD_USES, GLOBAL_USES):
            taken = read_options(options, uses)
            assert taken == {name: options[name] for name in taken}
            assert options.keys() - taken.keys() == {name for name, _ in FIXED}


WORD = st.text(st.sampled_from("abcXYZ019"), min_size=1, max_size=5)


@given(
    directory=st.lists(WORD, max_size=3).map("/".join).filter(lambda path: path.partition("/")[0] != "api"),
    requested_name=st.none() | WORD,
    segments=st.integers(1, 16),
    speed_limit=st.integers(0, 2**62),
    skip_same=st.booleans(),
    conflict=st.sampled_from([Conflict.RENAME, Conflict.OVERWRITE, Conflict.ERROR]),
    attempt_options=st.builds(
        AttemptOptions,
        max_retries=st.integers(0, 1000),
        retry_wait=st.integers(0, 600),
        stall_timeout=st.integers(1, 600).map(float),
        connect_timeout=st.integers(1, 600).map(float),
        min_speed=st.integers(0, 2**62),
    ),
    fields=st.builds(
        RequestFields,
        headers=st.dictionaries(WORD.map(lambda word: f"x-{word.lower()}"), WORD, max_size=2).map(
            lambda headers: tuple(headers.items())
        ),
        user_agent=WORD,
        referer=st.none() | WORD,
    ),
)
def test_a_retry_from_the_answer_is_the_same_download(**fields: Any) -> None:
    download = with_fields(DOWNLOAD, timeout=0, **fields)
    assert restart(download).request == download.request
    assert restart(download).control == download.control
