"""The table of options: every row with a possible and an impossible value."""

import pytest

from downloadd.fronts.aria2.options.option_table import EFFECTIVE, INHERITED, OPTIONS, Use

POSSIBLE: dict[str, tuple[str, str | None]] = {
    "gid": ("0123456789abcdef", None),
    "pause": ("true", "maybe"),
    "out": ("f", None),
    "checksum": ("md5=d41d8cd98f00b204e9800998ecf8427e", "md5=1"),
    "header": ("A: b", None),
    "dir": ("/x", None),
    "referer": ("http://a/", None),
    "user-agent": ("x", None),
    "http-user": ("u", None),
    "http-passwd": ("p", None),
    "split": ("1000000", "0"),
    "max-connection-per-server": ("16", "17"),
    "max-download-limit": ("10K", "abc"),
    "allow-overwrite": ("false", "yes"),
    "auto-file-renaming": ("false", "yes"),
    "max-tries": ("0", "-1"),
    "retry-wait": ("600", "601"),
    "timeout": ("600", "0"),
    "conditional-get": ("true", "x"),
    "connect-timeout": ("1", "601"),
    "lowest-speed-limit": ("10K", "-1"),
    "max-concurrent-downloads": ("1", "0"),
    "max-overall-download-limit": ("1K", "x"),
    "dry-run": ("false", "true"),
    "hash-check-only": ("false", "true"),
    "file-allocation": ("falloc", "x"),
    "uri-selector": ("inorder", "x"),
    "stream-piece-selector": ("geom", "x"),
    "proxy-method": ("tunnel", "x"),
    "min-split-size": ("1M", "1K"),
    "piece-length": ("1M", "1"),
    "no-file-allocation-limit": ("5M", "x"),
    "max-file-not-found": ("0", "-1"),
    "max-resume-failure-tries": ("0", "x"),
}
BOOLEANS = OPTIONS.keys() - POSSIBLE.keys()


@pytest.mark.parametrize("name", POSSIBLE)
def test_a_row_takes_possible_values_and_no_others(name: str) -> None:
    possible, impossible = POSSIBLE[name]
    assert OPTIONS[name].normalize(possible)
    if impossible is not None:
        with pytest.raises(ValueError, match=r"expected|has exactly"):
            OPTIONS[name].normalize(impossible)


@pytest.mark.parametrize("name", sorted(BOOLEANS))
def test_the_other_rows_are_ignored_booleans(name: str) -> None:
    option = OPTIONS[name]
    assert option.use is Use.IGNORED
    assert option.normalize("true") == "true"
    with pytest.raises(ValueError, match="expected true or false"):
        option.normalize("x")


def test_what_describes_one_download_is_not_inherited() -> None:
    assert {"gid", "pause", "out", "checksum"} <= EFFECTIVE - INHERITED
    assert {"dir", "header", "split", "max-download-limit"} <= INHERITED
    assert "continue" not in EFFECTIVE


def test_only_header_may_be_a_list() -> None:
    assert [name for name, option in OPTIONS.items() if option.is_list] == ["header"]
