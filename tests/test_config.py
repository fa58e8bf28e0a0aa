import json
import os
import re
import tomllib
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.config import (
    ALL_PERMISSIONS,
    Config,
    ConfigError,
    CredentialConfig,
    DirectoryConfig,
    DownloadsConfig,
    Flags,
    HookConfig,
    ImportsConfig,
    ServerConfig,
    StorageConfig,
    UserConfig,
    load_config,
)

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
HOME = {"HOME": "/home/alice"}
HASH = f"sha256:{'0' * 64}"
OTHER_HASH = f"sha256:{'1' * 64}"
SECRET = "xoxb-very-secret"


def load(
    tmp_path: Path, toml: str = "", environment: Mapping[str, str] | None = None, flags: Flags | None = None
) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return load_config(file=file, environment={**HOME, **(environment or {})}, flags=flags)


def load_issues(
    tmp_path: Path, toml: str = "", environment: Mapping[str, str] | None = None, flags: Flags | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml, environment, flags)
    assert caught.value.exit_status == 2
    lines = caught.value.message.splitlines()
    assert lines == [str(issue) for issue in caught.value.issues]
    return [line.replace(str(tmp_path) + "/", "") for line in lines]


# -- the example file --------------------------------------------------------------------------------------------------


def test_the_example_file_holds_every_key_with_its_default_and_a_line_of_explanation() -> None:
    text = EXAMPLE.read_text()
    assert load_config(file=EXAMPLE, environment=HOME) == load_config(file=None, environment=HOME)
    written = tomllib.loads(text)
    tables: dict[str, type[msgspec.Struct]] = {
        "server": ServerConfig,
        "storage": StorageConfig,
        "downloads": DownloadsConfig,
        "imports": ImportsConfig,
    }
    assert {table: list(keys) for table, keys in written.items()} == {
        table: list(of.__struct_fields__) for table, of in tables.items()
    }
    for keys in written.values():
        for key in keys:
            assert re.search(rf"^{key} = [^#]+ # .{{10,}}$", text, re.MULTILINE), key


def test_the_commented_examples_work_once_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^#(?=\S)", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    # Whoever is not root can give files to himself alone.
    text = text.replace('"root:root"', f'"{os.geteuid()}:{os.getegid()}"')
    config = load(tmp_path, text)
    assert [credential.host for credential in config.credentials] == ["files.example.com", "mirror.example.com"]
    assert [user.permissions for user in config.users] == [ALL_PERMISSIONS]
    used = {
        key
        for table in ("credentials", "users", "directories", "hooks")
        for item in tomllib.loads(text)[table]
        for key in item
    }
    assert used == {
        *CredentialConfig.__struct_fields__,
        *UserConfig.__struct_fields__,
        *DirectoryConfig.__struct_fields__,
        *HookConfig.__struct_fields__,
    }


# -- which source wins -------------------------------------------------------------------------------------------------


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    toml = '[server]\nport = 1\nhost = "a"\n[downloads]\nretries = 1\n'
    config = load(
        tmp_path,
        toml,
        {"DOWNLOADD_SERVER__PORT": "2", "DOWNLOADD_SERVER__HOST": "b"},
        Flags(port=3),
    )
    assert (config.server.port, config.server.host, config.downloads.retries) == (3, "b", 1)


def test_every_flag_reaches_its_key(tmp_path: Path) -> None:
    flags = Flags(
        allow_download=True, root="/r", host="::1", port=0, allow_domains=("a.example", "*.b.example"), state_dir="/s"
    )
    config = load(tmp_path, '[downloads]\nallowed_domains = ["c.example"]', flags=flags)
    assert config.downloads.allow
    assert config.downloads.allowed_domains == ("a.example", "*.b.example")
    assert (config.storage.root, config.server.host, config.server.port) == ("/r", "::1", 0)
    assert config.server.state_dir == "/s"


def test_flags_that_are_not_given_change_nothing(tmp_path: Path) -> None:
    config = load(tmp_path, "[downloads]\nallow = true", flags=Flags())
    assert config.downloads.allow


@pytest.mark.parametrize(
    ("variable", "text", "table", "key", "value"),
    [
        pytest.param("SERVER__PORT", "9000", "server", "port", 9000, id="integer"),
        pytest.param("DOWNLOADS__MAX_QUEUED", "1_000", "downloads", "max_queued", 1000, id="underscores"),
        pytest.param("DOWNLOADS__STALL_TIMEOUT", "1.5", "downloads", "stall_timeout", 1.5, id="float"),
        pytest.param("STORAGE__FSYNC", "off", "storage", "fsync", False, id="word for false"),
        pytest.param("DOWNLOADS__ALLOW", "True", "downloads", "allow", True, id="word for true"),
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
    config = load(tmp_path, f'[[users]]\nid = "a"\ntoken_hash = "{HASH}"', {"DOWNLOADD_USERS": users})
    assert config.users == (UserConfig(id="b", token_hash=OTHER_HASH),)


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "x", "/x/", "//x", "/x/../y", "/.", "/a b", "/%41", "/x?", "/x#", "/x\\n"])
def test_a_base_path_that_no_request_could_match_is_refused(tmp_path: Path, path: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'[server]\nbase_path = "{path}"\n')
    with pytest.raises(ConfigError, match=r"server.base_path: expected a path such as"):
        load_config(file=file, environment={"HOME": "/home/u"})


@pytest.mark.parametrize("network", ["10.0.0.1/8", "0.0.0.0/0", "::/0", "proxy.example", "", "Unix"])
def test_a_trusted_proxy_that_is_no_network_is_refused(tmp_path: Path, network: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'[server]\ntrusted_proxies = ["{network}"]\n')
    with pytest.raises(ConfigError, match=r"server.trusted_proxies"):
        load_config(file=file, environment={"HOME": "/home/u"})


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
        pytest.param("DOWNLOADD_DOWNLOADS__ALLOW", "maybe", 'expected true or false, got "maybe"', id="no bool"),
        pytest.param("DOWNLOADD_DOWNLOADS__ALLOWED_DOMAINS", "[", "expected a list in JSON", id="broken JSON"),
        pytest.param("DOWNLOADD_USERS", "{}", "expected a list of tables", id="no list"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(tmp_path: Path, variable: str, text: str, expected: str) -> None:
    (found,) = load_issues(tmp_path, environment={variable: text})
    assert found.startswith(f"{variable}: ")
    assert expected in found


def user(id: str = "a", token_hash: str = HASH, rest: str = "") -> str:
    return f'[[users]]\nid = "{id}"\ntoken_hash = "{token_hash}"\n{rest}\n'


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param(
            user() + user(token_hash=OTHER_HASH), 'users[1].id: "a" is taken already, by users[0]', id="same id"
        ),
        pytest.param(user() + user("b"), "users[1].token_hash: is that of users[0]", id="same token"),
        pytest.param(
            user(rest='permissions = ["downlod"]'),
            'users[0].permissions: "downlod": unknown permission; did you mean download?',
            id="unknown permission",
        ),
        pytest.param(user(token_hash="abc"), "expected sha256: and 64", id="no hash"),
        pytest.param(user(token_hash=HASH + "\\n"), "expected sha256: and 64", id="hash and a line feed"),
        pytest.param(user(id=""), "expected a text in quotes of 1 to 128 characters", id="empty id"),
        pytest.param(user(id="a\\r\\nb"), "users[0].id: may hold no control characters", id="line break in an id"),
        pytest.param(user(rest="role = 1"), "users[0].role: unknown key", id="unknown key"),
    ],
)
def test_a_wrong_user_is_refused(tmp_path: Path, toml: str, expected: str) -> None:
    (found,) = load_issues(tmp_path, toml)
    assert expected in found


def credential(rest: str, host: str = "a.example") -> str:
    return f'[[credentials]]\nhost = "{host}"\n{rest}\n'


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param(credential(""), "credentials[0]: has nothing to send", id="nothing to send"),
        pytest.param(
            credential(f'user = "u"\nheaders = {{ authorization = "{SECRET}" }}'),
            "both user and an Authorization header",
            id="two authorizations",
        ),
        pytest.param(
            credential(f'headers = {{ A = "{SECRET}\\r\\nB: c" }}'), "a line break", id="line break in a value"
        ),
        pytest.param(credential(f'headers = {{ A = "{SECRET}\\u0000" }}'), "control character", id="NUL in a value"),
        pytest.param(credential('headers = { "A B" = "c" }'), '"A B" is no name of a header field', id="bad name"),
        pytest.param(credential('headers = { "" = "c" }'), "is no name of a header field", id="empty name"),
        pytest.param(credential('headers = { Range = "c" }'), "Range is set by downloadd itself", id="our own field"),
        pytest.param(credential('headers = { A = "b", a = "c" }'), "a is given twice", id="same field twice"),
        pytest.param(credential("headers = { A = 1 }"), "headers: expected a table of texts", id="integer as value"),
        pytest.param(credential(f'password = "{SECRET}"\nheaders = {{A="b"}}'), "without user", id="password alone"),
        pytest.param(credential(f'user = "{SECRET}:x"'), "may hold no colon", id="colon in the user"),
        pytest.param(credential(f'user = ["{SECRET}"]'), "user: expected a text", id="list for a user"),
        pytest.param(credential('user = "u"', host="https://a/"), "expected a host alone", id="URL as host"),
        pytest.param(
            credential('user = "u"') + credential('user = "v"', host="A.example."),
            "a.example has credentials already, in credentials[0]",
            id="same host",
        ),
    ],
)
def test_wrong_credentials_are_refused_without_showing_them(tmp_path: Path, toml: str, expected: str) -> None:
    (found,) = load_issues(tmp_path, toml)
    assert expected in found
    assert SECRET not in found


def hook(rest: str, name: str = "chat") -> str:
    return f'[[hooks]]\nname = "{name}"\n{rest}\n'


KEY = f"whsec_{b64encode(bytes(range(24))).decode()}"
POSTED = f'url = "https://a.example/{SECRET}"\nsecret = "{KEY}"'


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param(hook(""), "hooks[0]: expected either url and secret, or command", id="neither"),
        pytest.param(hook(f'{POSTED}\ncommand = ["x"]'), "hooks[0]: expected either url and secret", id="both"),
        pytest.param(hook(f'url = "https://a/{SECRET}"'), "hooks[0].secret: expected whsec_ and 24", id="no secret"),
        pytest.param(hook(f'url = "https://a"\nsecret = "{SECRET}"'), "secret: expected whsec_", id="another secret"),
        pytest.param(hook('url = "https://a"\nsecret = "whsec_QUJD"'), "secret: expected whsec_", id="short secret"),
        pytest.param(hook(f'command = ["x"]\nsecret = "{KEY}"'), "secret: is given without url", id="secret alone"),
        pytest.param(hook(f'url = "ftp://{SECRET}/"\nsecret = "{KEY}"'), "url: expected an http://", id="scheme"),
        pytest.param(hook(f'url = "https://[{SECRET}"\nsecret = "{KEY}"'), "url: expected an http://", id="no URL"),
        pytest.param(hook(f'command = "{SECRET}"'), "command: expected a list of texts", id="command line"),
        pytest.param(hook('command = [""]'), "command: expected a program", id="empty command"),
        pytest.param(hook(f'{POSTED}\nevents = ["complete"]'), "did you mean completed?", id="event"),
        pytest.param(hook(f"{POSTED}\nevents = []"), "events: expected a list of events", id="no events"),
        pytest.param(hook(f"{POSTED}\ntimeout = 0"), "timeout: expected a number from 1 to 3600", id="no time"),
        pytest.param(hook(POSTED, name="a b"), "name: expected 1 to 64 letters", id="bad name"),
        pytest.param(hook(POSTED) + hook(POSTED), 'hooks[1].name: "chat" is taken already, by hooks[0]', id="name"),
    ],
)
def test_a_wrong_hook_is_refused_without_showing_its_secrets(tmp_path: Path, toml: str, expected: str) -> None:
    (found,) = load_issues(tmp_path, toml)
    assert expected in found
    assert SECRET not in found
    assert KEY not in found


def test_a_hook_is_printed_without_its_secrets(tmp_path: Path) -> None:
    config = load(tmp_path, hook(POSTED) + hook(f'command = ["x", "{SECRET}"]', "scan"))
    shown = repr(config) + str([each.__rich_repr__() for each in config.hooks])
    assert "scan" in shown
    assert SECRET not in shown
    assert KEY not in shown


def test_hosts_of_credentials_get_their_canonical_spelling(tmp_path: Path) -> None:
    config = load(tmp_path, credential('user = "u"', host="BÜCHER.example."))
    assert config.credentials[0].host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"[server]\nport = = 1", "config.toml:2:8: is no TOML: ", id="syntax"),
        pytest.param(b"a = 1\na = 2\n", "config.toml:2:6: is no TOML: ", id="key twice"),
        pytest.param(b"[server]\nhost = '\xff'", "config.toml: is no TOML: byte 17 is not UTF-8", id="encoding"),
    ],
)
def test_broken_toml_is_refused_with_its_place(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file=file, environment=HOME)
    (found,) = caught.value.message.splitlines()
    assert expected in found


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: (No such file|Is a directory)"):
        load_config(file=tmp_path / name, environment=HOME)


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
            load_config(file=None, environment={**HOME, f"DOWNLOADD_{variable}": text})


# -- the state directory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({"STATE_DIRECTORY": "/var/lib/downloadd", "HOME": "/h"}, "/var/lib/downloadd", id="systemd"),
        pytest.param({"STATE_DIRECTORY": "/a:/b"}, "/a", id="several"),
        pytest.param({"XDG_STATE_HOME": "/x/", "HOME": "/h"}, "/x/downloadd", id="XDG"),
        pytest.param({"XDG_STATE_HOME": "x", "HOME": "/h"}, "/h/.local/state/downloadd", id="relative XDG is ignored"),
        pytest.param({"HOME": "/h"}, "/h/.local/state/downloadd", id="home"),
        pytest.param({"HOME": "/h", "DOWNLOADD_SERVER__STATE_DIR": "/s"}, "/s", id="configured"),
    ],
)
def test_the_state_directory_is_found(environment: dict[str, str], expected: str) -> None:
    assert load_config(file=None, environment=environment).server.state_dir == expected


def test_without_any_home_the_state_directory_must_be_set() -> None:
    with pytest.raises(ConfigError, match=r"server\.state_dir: there is no HOME"):
        load_config(file=None, environment={})


# -- systemd credentials -----------------------------------------------------------------------------------------------


def test_a_systemd_credential_adds_users_credentials_and_hooks(tmp_path: Path) -> None:
    secrets = user("b", OTHER_HASH) + credential('user = "v"', "b.example") + hook(POSTED)
    (tmp_path / "downloadd.toml").write_text(secrets)
    config = load(tmp_path, user() + credential('user = "u"'), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert [each.id for each in config.users] == ["a", "b"]
    assert [each.name for each in config.hooks] == ["chat"]
    assert [each.host for each in config.credentials] == ["a.example", "b.example"]


def test_a_systemd_credential_may_not_change_anything_else(tmp_path: Path) -> None:
    (tmp_path / "downloadd.toml").write_text("[server]\nport = 1\n" + user())
    found = load_issues(tmp_path, user(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "downloadd.toml: server: only [[credentials]], [[users]] and [[hooks]]" in found[0]
    assert 'downloadd.toml: users[0].id: "a" is taken already, by users[0] of ' in found[1]


def test_a_credentials_directory_without_ours_is_fine(tmp_path: Path) -> None:
    assert load(tmp_path, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}).users == ()


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_secrets_are_masked_when_a_configuration_is_printed(tmp_path: Path) -> None:
    config = load(tmp_path, user() + credential(f'headers = {{ A = "{SECRET}" }}') + credential('user="u"', "b"))
    shown = repr(config) + str(config) + str([each.__rich_repr__() for each in (*config.users, *config.credentials)])
    assert SECRET not in shown
    assert "0" * 64 not in shown
    assert "a.example" in shown
