import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.config_files import (
    HOME,
    OTHER_HASH,
    TOKEN_HASH,
    WEBHOOK,
    credential,
    hook,
    load,
    load_issues,
    load_text,
    user,
)

from downloadd.config import ConfigError, Flags, UserConfig
from downloadd.config.sources import iter_settings
from downloadd.daemon.configuration import read_config

# -- precedence --------------------------------------------------------------------------------------------------------


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    toml = '[server]\nport = 1\nhost = "a"\n[downloads]\nmax_retries = 1\n'
    config = load(
        tmp_path,
        toml,
        {"DOWNLOADD_SERVER__PORT": "2", "DOWNLOADD_SERVER__HOST": "b"},
        Flags(port=3),
    )
    assert (config.server.port, config.server.host, config.downloads.max_retries) == (3, "b", 1)


def test_every_flag_reaches_its_key(tmp_path: Path) -> None:
    flags = Flags(
        allow_download=True, root="/r", host="::1", port=0, allow_domain=("a.example", "*.b.example"), state_dir="/s"
    )
    config = load(tmp_path, '[downloads]\nallowed_domains = ["c.example"]', flags=flags)
    assert config.downloads.enabled
    assert config.downloads.allowed_domains == ("a.example", "*.b.example")
    assert (config.storage.root, config.server.host, config.server.port) == ("/r", "::1", 0)
    assert config.server.state_dir == "/s"


def test_flags_that_are_not_given_change_nothing(tmp_path: Path) -> None:
    config = load(tmp_path, "[downloads]\nenabled = true", flags=Flags())
    assert config.downloads.enabled


A_USER = '[[users]]\nid = "bob"\ntoken_hash = "sha256:' + 64 * "0" + '"\n'


@pytest.mark.parametrize(
    ("variable", "text", "table", "key", "value"),
    [
        pytest.param("SERVER__PORT", "9000", "server", "port", 9000, id="integer"),
        pytest.param("DOWNLOADS__MAX_QUEUED", "1_000", "downloads", "max_queued", 1000, id="underscores"),
        pytest.param("DOWNLOADS__STALL_TIMEOUT", "1.5", "downloads", "stall_timeout", 1.5, id="float"),
        pytest.param("STORAGE__FSYNC", "off", "storage", "fsync", False, id="word for false"),
        pytest.param("DOWNLOADS__ENABLED", "True", "downloads", "enabled", True, id="word for true"),
        pytest.param("DOWNLOADS__MAX_SIZE", "4 GiB", "downloads", "max_size", 4 << 30, id="size"),
        pytest.param("DOWNLOADS__MAX_SIZE", "4096", "downloads", "max_size", 4096, id="bytes"),
        pytest.param("SERVER__STATE_DIR", "/x", "server", "state_dir", "/x", id="text"),
        pytest.param(
            "DOWNLOADS__ALLOWED_DOMAINS", "a.b, c.d", "downloads", "allowed_domains", ("a.b", "c.d"), id="list"
        ),
        pytest.param("DOWNLOADS__ALLOWED_DOMAINS", '["a.b"]', "downloads", "allowed_domains", ("a.b",), id="JSON"),
        pytest.param("DOWNLOADS__ALLOWED_DOMAINS", "", "downloads", "allowed_domains", (), id="empty list"),
    ],
)
def test_variables_are_read_by_the_type_of_their_key(
    tmp_path: Path, variable: str, text: str, table: str, key: str, value: object
) -> None:
    config = load(tmp_path, environment={f"DOWNLOADD_{variable}": text})
    assert getattr(getattr(config, table), key) == value


def test_users_can_be_given_in_the_environment(tmp_path: Path) -> None:
    users = json.dumps([{"id": "b", "token_hash": OTHER_HASH}])
    config = load(tmp_path, f'[[users]]\nid = "a"\ntoken_hash = "{TOKEN_HASH}"', {"DOWNLOADD_USERS": users})
    assert config.users == (UserConfig(id="b", token_hash=OTHER_HASH),)


def test_every_flag_of_a_setting_is_a_field_of_the_flags() -> None:
    names = {setting.flag.removeprefix("--").replace("-", "_") for setting in iter_settings() if setting.flag}
    assert names == set(Flags.__struct_fields__)


# -- former names ------------------------------------------------------------------------------------------------------

RENAMED = {
    "server.hosts": ("server.allowed_hosts", ["a.example"], ("a.example",)),
    "server.failed_logins": ("server.max_failed_logins", 7, 7),
    "downloads.allow": ("downloads.enabled", True, True),
    "downloads.retries": ("downloads.max_retries", 2, 2),
    "imports.max_upload": ("imports.max_upload_size", "1 MiB", 1 << 20),
}
EACH_RENAMED = pytest.mark.parametrize(("former", "current", "written", "value"), [(k, *v) for k, v in RENAMED.items()])


def test_the_former_names_are_those_of_the_settings() -> None:
    former = {
        f"{setting.table}.{setting.former_name}": setting.key for setting in iter_settings() if setting.former_name
    }
    assert former == {name: current for name, (current, *_) in RENAMED.items()}


@EACH_RENAMED
def test_a_former_name_in_the_file_works_and_is_reported(
    tmp_path: Path, former: str, current: str, written: object, value: object
) -> None:
    table, _, name = former.partition(".")
    loaded = load_text(tmp_path, f"[{table}]\n{name} = {json.dumps(written)}\n")
    assert getattr(getattr(loaded.config, table), current.partition(".")[2]) == value
    [renamed] = loaded.renamed
    assert renamed.source == str(tmp_path / "config.toml")
    assert str(renamed) == f"{former} is now {current}; the old name works in this version"


@EACH_RENAMED
def test_a_former_variable_works_and_is_reported(
    tmp_path: Path, former: str, current: str, written: object, value: object
) -> None:
    old, new = (f"DOWNLOADD_{name.replace('.', '__').upper()}" for name in (former, current))
    loaded = load_text(tmp_path, environment={old: written if isinstance(written, str) else json.dumps(written)})
    table, _, name = current.partition(".")
    assert getattr(getattr(loaded.config, table), name) == value
    assert [str(each) for each in loaded.renamed] == [f"{old} is now {new}; the old name works in this version"]


@EACH_RENAMED
def test_both_names_in_one_source_are_a_mistake_that_names_both(
    tmp_path: Path, former: str, current: str, written: object, value: object
) -> None:
    table, _, name = former.partition(".")
    lines = [f"{key} = {json.dumps(written)}" for key in (name, current.partition(".")[2])]
    for text in ("\n".join(lines), "\n".join(reversed(lines))):
        [issue] = load_issues(tmp_path, f"[{table}]\n{text}\n")
        assert issue == (
            f"config.toml: {current}: is given as {former} and as {current}; remove {former}, the old name"
        )
    variables = {f"DOWNLOADD_{key.replace('.', '__').upper()}": "1" for key in (former, current)}
    [issue] = [line for line in load_issues(tmp_path, environment=variables) if "is given as" in line]
    for variable in variables:
        assert variable in issue


def test_a_variable_by_the_current_name_overrides_a_file_with_the_former_one(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "[downloads]\nretries = 1\n", {"DOWNLOADD_DOWNLOADS__MAX_RETRIES": "2"})
    assert loaded.config.downloads.max_retries == 2
    assert len(loaded.renamed) == 1


def test_the_flag_for_downloads_overrides_the_former_name(tmp_path: Path) -> None:
    assert load(tmp_path, "[downloads]\nallow = false\n", flags=Flags(allow_download=True)).downloads.enabled


def test_current_names_are_not_reported(tmp_path: Path) -> None:
    assert load_text(tmp_path, "[downloads]\nmax_retries = 1\n").renamed == ()


def test_a_mistake_in_a_former_key_is_reported_by_that_name(tmp_path: Path) -> None:
    [issue] = load_issues(tmp_path, "[downloads]\nretries = -1\n")
    assert issue.startswith("config.toml: downloads.retries: expected an integer from 0 to 1000")


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_all_mistakes_are_reported_together_each_with_its_source(tmp_path: Path) -> None:
    found = load_issues(
        tmp_path,
        '[downloads]\nmax_concurent = 3\ntimeout = "5"\nallowed_domains = ["*"]\n[[users]]\nid = "a"',
        {"DOWNLOADD_SERVER__PORT": "80a"},
        Flags(port=-1),
    )
    assert found == [
        "config.toml: downloads.max_concurent: unknown key; did you mean downloads.max_concurrent?",
        'config.toml: downloads.timeout: expected an integer from 0 to 31536000, got "5"',
        "config.toml: users[0].token_hash: is missing",
        'DOWNLOADD_SERVER__PORT: server.port: expected an integer from 0 to 65535, got "80a"',
        "--port: server.port: expected an integer from 0 to 65535, got -1",
        "config.toml: downloads.allowed_domains: '*' is not a domain: leave the list empty to allow every host",
    ]


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param("[server]\nport = 65536", "expected an integer from 0 to 65535, got 65536", id="port too high"),
        pytest.param(
            "[server]\nport = true", "expected an integer from 0 to 65535, got true", id="bool for an integer"
        ),
        pytest.param("[server]\nport = 1.0", "got 1.0", id="float for an integer"),
        pytest.param('[server]\nhost = ""', "expected a text in quotes that is not empty", id="empty host"),
        pytest.param('[server]\nhost = "http://x"', "expected a host name or an IP address alone", id="URL as host"),
        pytest.param("[server]\nhost = 1979-05-27", "got a date or time", id="date for a text"),
        pytest.param('[server]\nstate_dir = "a\\u0000b"', "control characters", id="NUL in a path"),
        pytest.param("[storage]\nfsync = 1", "expected true or false, got 1", id="integer for a bool"),
        pytest.param('[storage]\nroot = ""', "not empty", id="empty root"),
        pytest.param("[storage]\nmin_free = -1", "expected a size in bytes", id="negative size"),
        pytest.param('[storage]\nmin_free = "many"', 'expected a size in bytes, or one such as "10 MiB"', id="no size"),
        pytest.param('[storage]\nmin_free = "9999 PiB"', "at most 4 EiB", id="size out of range"),
        pytest.param(
            "[downloads]\nstall_timeout = -0.5", "expected a number from 0 to 31536000", id="negative timeout"
        ),
        pytest.param("[downloads]\nstall_timeout = nan", "got nan", id="not a number"),
        pytest.param("[downloads]\nstall_timeout = inf", "got inf", id="infinite"),
        pytest.param("[downloads]\nmax_per_host = 0", "expected an integer from 1", id="none at once"),
        pytest.param("[downloads]\nsegments = 17", "expected an integer from 1 to 16", id="too many segments"),
        pytest.param('[downloads]\nallowed_domains = "a"', 'expected a list of texts, got "a"', id="text for a list"),
        pytest.param("[downloads]\nallowed_domains = [1]", "expected a list of texts", id="list of integers"),
        pytest.param('[downloads]\nallowed_networks = ["10.0.0.1/8"]', "10.0.0.0/8", id="network with host bits"),
        pytest.param("port = 80", "port: unknown key; did you mean server.port?", id="key outside its table"),
        pytest.param("[storage]\nport = 80", "did you mean server.port?", id="key in the wrong table"),
        pytest.param("[servers]", "servers: unknown key; did you mean server?", id="unknown table"),
        pytest.param("[storage]\nzzz = 1", "known ones: storage.root, storage.min_free", id="nothing is near"),
        pytest.param("server = 1", "server: expected a table", id="value for a table"),
        pytest.param("users = 1", "users: expected a list of tables", id="value for users"),
        pytest.param("users = [1]", "users[0]: expected a table", id="value for a user"),
        pytest.param(
            f"{A_USER}bytes_per_day = 0",
            'users[0].bytes_per_day: expected a size of at least one byte, such as "50 GiB", got 0',
            id="quota of nothing",
        ),
        pytest.param(
            f'{A_USER}time_zone = "Mars"', "users[0].time_zone: expected the name of a time zone", id="no time zone"
        ),
        pytest.param("[users]", "users: expected a list of tables: write [[users]]", id="single brackets"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_expected(tmp_path: Path, toml: str, expected: str) -> None:
    (found,) = load_issues(tmp_path, toml)
    assert found.startswith("config.toml: ")
    assert expected in found


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        pytest.param("DOWNLOADD_SERVER__PRT", "1", "unknown variable; did you mean DOWNLOADD_SERVER__PORT?", id="typo"),
        pytest.param("DOWNLOADD_", "1", "unknown variable; ", id="nothing after the prefix"),
        pytest.param("DOWNLOADD_SERVER__PORT", "", "expected an integer", id="empty"),
        pytest.param("DOWNLOADD_SERVER__PORT", "9" * 5000, "expected an integer", id="huge"),
        pytest.param("DOWNLOADD_DOWNLOADS__ENABLED", "maybe", 'expected true or false, got "maybe"', id="no bool"),
        pytest.param("DOWNLOADD_DOWNLOADS__ALLOWED_DOMAINS", "[", "expected a list in JSON", id="broken JSON"),
        pytest.param("DOWNLOADD_USERS", "{}", "expected a list of tables", id="no list"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(tmp_path: Path, variable: str, text: str, expected: str) -> None:
    (found,) = load_issues(tmp_path, environment={variable: text})
    assert found.startswith(f"{variable}: ")
    assert expected in found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"[server]\nport = = 1", "config.toml:2:8: is not TOML: ", id="syntax"),
        pytest.param(b"a = 1\na = 2\n", "config.toml:2:6: is not TOML: ", id="key twice"),
        pytest.param(b"[server]\nhost = '\xff'", "config.toml: is not TOML: byte 17 is not UTF-8", id="encoding"),
    ],
)
def test_broken_toml_is_refused_with_its_place(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_config(file=file, environment=HOME)
    (found,) = caught.value.message.splitlines()
    assert expected in found


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: (No such file|Is a directory)"):
        read_config(file=tmp_path / name, environment=HOME)


@given(
    content=st.recursive(
        st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.none()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        max_leaves=6,
    ),
    variable=st.sampled_from(
        ["USERS", "CREDENTIALS", "SERVER__HOST", "DOWNLOADS__ALLOWED_DOMAINS", "STORAGE__MIN_FREE"]
    ),
)
def test_no_variable_breaks_the_loader(content: Any, variable: str) -> None:
    for text in (json.dumps(content), str(content)):
        with suppress(ConfigError):
            read_config(file=None, environment={**HOME, f"DOWNLOADD_{variable}": text})


# -- systemd credentials -----------------------------------------------------------------------------------------------


def test_a_systemd_credential_adds_users_credentials_and_hooks(tmp_path: Path) -> None:
    secrets = user("b", OTHER_HASH) + credential('user = "v"', "b.example") + hook(WEBHOOK)
    (tmp_path / "downloadd.toml").write_text(secrets)
    config = load(tmp_path, user() + credential('user = "u"'), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert [each.id for each in config.users] == ["a", "b"]
    assert [each.name for each in config.hooks] == ["chat"]
    assert [each.host for each in config.credentials] == ["a.example", "b.example"]


def test_a_systemd_credential_may_not_change_anything_else(tmp_path: Path) -> None:
    (tmp_path / "downloadd.toml").write_text("[server]\nport = 1\n" + user())
    found = load_issues(tmp_path, user(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (
        "downloadd.toml: server: only [[credentials]], [[proxies]], [[users]], [[hooks]] and database of [cluster]"
        in found[0]
    )
    assert 'downloadd.toml: users[0].id: "a" is taken already, by users[0] of ' in found[1]


def test_a_systemd_credential_may_name_the_database(tmp_path: Path) -> None:
    (tmp_path / "downloadd.toml").write_text('[cluster]\ndatabase = "postgresql://u:p@h/credential"\n')
    toml = user() + '[cluster]\ndatabase = "postgresql://h/file"\n'
    config = load(tmp_path, toml, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.cluster.database == "postgresql://u:p@h/credential"
    (tmp_path / "downloadd.toml").write_text('[cluster]\ndatabase = ""\nother = 1\n')
    [issue] = load_issues(tmp_path, toml, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "downloadd.toml: cluster: only " in issue


def test_a_credentials_directory_without_ours_is_fine(tmp_path: Path) -> None:
    assert load(tmp_path, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}).users == ()


def test_the_variables_of_a_service_in_kubernetes_are_no_settings(tmp_path: Path) -> None:
    link = {
        "DOWNLOADD_PORT": "tcp://10.0.0.1:8080",
        "DOWNLOADD_SERVICE_HOST": "10.0.0.1",
        "DOWNLOADD_SERVICE_PORT": "8080",
        "DOWNLOADD_SERVICE_PORT_HTTP": "8080",
        "DOWNLOADD_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "DOWNLOADD_PORT_8080_TCP_ADDR": "10.0.0.1",
        "DOWNLOADD_API_PORT": "tcp://10.0.0.2:80",
    }
    assert load(tmp_path, environment=link) == load(tmp_path)
    [issue] = load_issues(tmp_path, environment={"DOWNLOADD_PORT": "9000"})
    assert issue.startswith("DOWNLOADD_PORT: unknown variable; ")
