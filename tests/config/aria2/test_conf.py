"""An `aria2.conf` among the other sources of the configuration."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.config_files import HOME, OTHER_HASH, user

from downloadd.config import ConfigError, Flags, LoadedConfig, OptionOutcome, format_outcomes
from downloadd.config.aria2.conf import MAX_CONF_BYTES
from downloadd.daemon.configuration import read_config

SECRET = "s3cret-s3cret-s3cret"


def load(
    tmp_path: Path,
    conf: str,
    toml: str = "",
    environment: Mapping[str, str] | None = None,
    flags: Flags | None = None,
) -> LoadedConfig:
    file, aria2_conf = tmp_path / "config.toml", tmp_path / "aria2.conf"
    file.write_text(toml)
    aria2_conf.write_text(conf)
    return read_config(
        file=file, environment={**HOME, **(environment or {})}, flags=flags or Flags(), aria2_conf=aria2_conf
    )


def issues(tmp_path: Path, conf: str, toml: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, conf, toml)
    return [str(issue).replace(f"{tmp_path}/", "") for issue in caught.value.issues]


def rows(loaded: LoadedConfig, tmp_path: Path) -> list[tuple[int, str, str]]:
    """Return line, option, and the setting with its value or the reason."""
    return [
        (each.line, each.option, f"{each.setting} = {each.value}" if each.setting else f"{each.note}")
        for each in (
            OptionOutcome(
                line=one.line,
                option=one.option,
                setting=one.setting,
                value=one.value,
                note=one.note.replace(f"{tmp_path}/", ""),
            )
            for one in loaded.aria2_options
        )
    ]


def test_the_options_become_settings_and_each_is_reported(tmp_path: Path) -> None:
    text = (
        f"# mine\ndir=${{HOME}}/Töne\nsplit=4\nmax-connection-per-server=2\nmax-overall-download-limit=1M\n"
        f"rpc-secret={SECRET}\nbt-tracker=udp://{SECRET}\nheader=A: {SECRET}\nheader=B: {SECRET}\nsplit=8\n"
        f"{SECRET} {SECRET}\nrpc-lsten-all={SECRET}\nxyz={SECRET}\nall-proxy=http://u:{SECRET}@p:1\n"
    )
    loaded = load(tmp_path, text)
    config = loaded.config
    assert (config.storage.root, config.downloads.segments, config.downloads.max_per_host) == (
        "/home/alice/Töne",
        2,
        10,
    )
    assert (config.downloads.speed_limit, [each.id for each in config.users]) == (1 << 20, ["aria2"])
    assert [each.name for each in config.proxies] == ["aria2"]
    header = "it is not sent to all hosts; state it for one host each in `[[credentials]]`, or with a download"
    assert rows(loaded, tmp_path) == [
        (2, "dir", 'storage.root = "/home/alice/Töne"'),
        (3, "split", "line 10 states it again"),
        (4, "max-connection-per-server", "downloads.segments = 2"),
        (4, "max-connection-per-server", "downloads.max_per_host = 10"),
        (5, "max-overall-download-limit", 'downloads.speed_limit = "1 MiB"'),
        (6, "rpc-secret", '[[users]] = { id = "aria2" }'),
        (7, "bt-tracker", "BitTorrent is not supported"),
        (8, "header", header),
        (9, "header", header),
        (10, "split", "downloads.segments = 2"),
        (11, "", "the line is not an option; write name=value"),
        (12, "rpc-lsten-all", "aria2 has no such option; did you mean rpc-listen-all?"),
        (13, "xyz", "aria2 has no such option"),
        (14, "all-proxy", '[[proxies]] = { name = "aria2", schemes = ["http", "https"] }'),
    ]
    assert SECRET not in repr(loaded) + format_outcomes(tmp_path, loaded.aria2_options)


def test_every_other_source_has_precedence(tmp_path: Path) -> None:
    text = "dir=/a\nmax-concurrent-downloads=1\nmax-tries=1\nrpc-listen-all=true\ntimeout=1\n"
    toml = '[server]\nlisten = ["127.0.0.1:1"]\n[downloads]\nmax_concurrent = 2\n'
    variable = "DOWNLOADD_DOWNLOADS__MAX_RETRIES"
    loaded = load(tmp_path, text, toml, {variable: "2"}, Flags(root="/b"))
    config = loaded.config
    assert (config.storage.root, config.downloads.max_concurrent, config.downloads.max_retries) == ("/b", 2, 2)
    assert (config.server.host, config.downloads.stall_timeout) == ("127.0.0.1", 1)
    assert rows(loaded, tmp_path) == [
        (1, "dir", "storage.root of --root has precedence"),
        (2, "max-concurrent-downloads", "downloads.max_concurrent of config.toml has precedence"),
        (3, "max-tries", f"downloads.max_retries of {variable} has precedence"),
        (4, "rpc-listen-all", "server.listen of config.toml has precedence"),
        (5, "timeout", "downloads.stall_timeout = 1.0"),
    ]


def test_tables_are_added_to_those_of_the_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"rpc-secret={SECRET}\nauto-file-renaming=false\n", user("ann", OTHER_HASH))
    assert [each.id for each in loaded.config.users] == ["ann", "aria2"]
    assert [(each.path, each.conflict) for each in loaded.config.directories] == [("", "error")]


def test_a_table_that_the_file_has_keeps_its_place(tmp_path: Path) -> None:
    toml = user("aria2", OTHER_HASH) + '[[directories]]\npath = "/"\nquota = 1\n'
    loaded = load(tmp_path, f"rpc-secret={SECRET}\nallow-overwrite=true\n", toml)
    assert [each.token_hash for each in loaded.config.users] == [OTHER_HASH]
    assert rows(loaded, tmp_path) == [
        (1, "rpc-secret", "users[0] of config.toml has the same id, and precedence"),
        (2, "allow-overwrite", "directories[0] of config.toml has the same path, and precedence"),
    ]


def test_a_list_in_the_environment_replaces_the_tables(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"rpc-secret={SECRET}", environment={"DOWNLOADD_USERS": "[]"})
    assert loaded.config.users == ()
    assert rows(loaded, tmp_path) == [(1, "rpc-secret", "DOWNLOADD_USERS replaces it")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\nmax-tries=3x", ["aria2.conf:3: max-tries: expected a number from 0 on"]),
        ("split=0\nmax-connection-per-server=2", ["aria2.conf:1: split: expected a number from 1 on"]),
        (
            "split=2\nmax-connection-per-server=x",
            ["aria2.conf:2: max-connection-per-server: expected a number from 1 on"],
        ),
        (
            "max-concurrent-downloads=0",
            ["aria2.conf:1: max-concurrent-downloads: expected an integer from 1 to 1000000000, got 0"],
        ),
        ("timeout=99999999", ["aria2.conf:1: timeout: expected a number from 0 to 31536000, got 99999999"]),
        ("allow-overwrite=yes", ["aria2.conf:1: allow-overwrite: expected true or false"]),
        ("rpc-secret=", ["aria2.conf:1: rpc-secret: may not be empty"]),
        ("all-proxy=ftp://u:s3cret@p", ["aria2.conf:1: all-proxy.url: must begin with one of http://"]),
        ("dir=/a\x01b", ["aria2.conf:1: dir: a path may not hold control characters"]),
        ("ca-certificate=/nonexistent/ca.pem", ["aria2.conf:1: ca-certificate: "]),
    ],
)
def test_an_impossible_value_is_reported_with_its_line(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = issues(tmp_path, text)
    assert [issue[: len(start)] for issue, start in zip(found, expected, strict=True)] == expected
    assert "s3cret" not in str(found)


def test_a_download_cannot_overwrite_the_file(tmp_path: Path) -> None:
    [issue] = issues(tmp_path, f"dir={tmp_path}/../{tmp_path.name}\n[]", "")[:1]
    assert issue.startswith("aria2.conf:1: storage.root: the configuration (")


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    for file, problem in (
        (tmp_path / "missing", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (Path("/dev/zero"), "is longer than 1 MiB, so it is not an aria2.conf"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_config(file=None, environment=HOME, aria2_conf=file)
        assert [str(issue) for issue in caught.value.issues] == [f"{file}: {problem}"]
    assert MAX_CONF_BYTES == 1 << 20


def test_any_bytes_are_read(tmp_path: Path) -> None:
    (tmp_path / "aria2.conf").write_bytes(b"\xef\xbb\xbfdir=/a\xff\nlog=\xfe\n")
    loaded = read_config(file=None, environment=HOME, aria2_conf=tmp_path / "aria2.conf")
    assert loaded.config.storage.root == "/a\udcff"
    format_outcomes(tmp_path, loaded.aria2_options).encode()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["dir", "split", "all-proxy", "no-proxy", "rpc-secret", "timeout", "enable-rpc", "x", ""]),
            st.text(max_size=8) | st.sampled_from(["true", "false", "5", "10M", "p:1", "/a", "~"]),
        ),
        max_size=6,
    )
)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str]]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.conf"
    file.write_text("\n".join(f"{name}={value}" for name, value in lines), encoding="utf-8", errors="surrogatepass")
    with suppress(ConfigError):
        loaded = read_config(file=None, environment=HOME, aria2_conf=file)
        format_outcomes(file, loaded.aria2_options).encode()


def test_the_table_is_for_people(tmp_path: Path) -> None:
    outcomes = (
        OptionOutcome(line=9, option="split", setting="downloads.segments", value="1", note="a remark"),
        OptionOutcome(line=10, option="", note="a reason"),
    )
    assert format_outcomes(Path("/a.conf"), outcomes) == (
        "What became of the options in /a.conf, by their lines:\n\n"
        "   9  split  downloads.segments = 1 (a remark)\n"
        "  10  -      ignored: a reason\n"
    )
    assert format_outcomes(Path("/a.conf"), ()).endswith("by their lines:\n\n")
