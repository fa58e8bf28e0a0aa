from pathlib import Path

import pytest
from support.config_files import (
    load,
    load_issues,
)

from downloadd.config import MAX_SOCKET_PATH_BYTES, ConfigError
from downloadd.daemon.configuration import read_config


@pytest.mark.parametrize("path", ["/", "x", "/x/", "//x", "/x/../y", "/.", "/a b", "/%41", "/x?", "/x#", "/x\\n"])
def test_a_base_path_that_no_request_could_match_is_refused(tmp_path: Path, path: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'[server]\nbase_path = "{path}"\n')
    with pytest.raises(ConfigError, match=r"server.base_path: expected a path such as"):
        read_config(file=file, environment={"HOME": "/home/u"})


@pytest.mark.parametrize("network", ["10.0.0.1/8", "0.0.0.0/0", "::/0", "proxy.example", "", "Unix"])
def test_a_trusted_proxy_that_is_no_network_is_refused(tmp_path: Path, network: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'[server]\ntrusted_proxies = ["{network}"]\n')
    with pytest.raises(ConfigError, match=r"server.trusted_proxies"):
        read_config(file=file, environment={"HOME": "/home/u"})


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param('[server]\ntls_cert = "a\\u0000"', "server.tls_cert: a path may not hold", id="NUL in a path"),
        pytest.param('[server]\nallowed_hosts = ["https://a"]', "server.allowed_hosts: 'https://a' is not", id="URL"),
        pytest.param("[downloads]\nallowed_ports = [0]", "downloads.allowed_ports: 0 is not a port", id="port"),
        pytest.param('[imports]\ndirectory = "../x"', "imports.directory: the directory segment", id="dot segment"),
        pytest.param(
            '[[rules]]\nname = "r"\nextensions = [""]', "rules[0].extensions: expected an extension", id="extension"
        ),
        pytest.param(
            '[[rules]]\nname = "r"\ndirectory = "../x"', "rules[0].directory: the directory segment", id="rule"
        ),
        pytest.param(
            '[[rules]]\nname = "r"\ntypes = ["image"]', "rules[0].types: expected a media type", id="media type"
        ),
        pytest.param(
            '[[rules]]\nname = "r"\ntypes = ["image/*"]\nproxy = ""\ntimeout = 5',
            "rules[0].timeout: is needed before that: types, min_size and max_size are known only when",
            id="too late",
        ),
        pytest.param(
            '[[rules]]\nname = "r"\nmin_size = 5\nmax_size = 4', "rules[0].max_size: is less than min_size", id="sizes"
        ),
        pytest.param(
            '[[proxies]]\nname = "p"\nurl = "http://p"\n[[rules]]\nname = "r"\nmax_size = 4\nproxy = "p"',
            "rules[0].proxy: is needed before that",
            id="proxy",
        ),
        pytest.param(
            '[[hooks]]\nname = "h"\nextract = true\ndirectory = "a/.."',
            "hooks[0].directory: the directory segment",
            id="hook",
        ),
        pytest.param('[[directories]]\npath = "a/../b"', "directories[0].path: the directory segment", id="path"),
        pytest.param(
            '[[directories]]\npath = "a"\nowner = "no-such-user"', "directories[0].owner: there is no", id="owner"
        ),
    ],
)
def test_a_text_of_the_wrong_format_is_refused_by_its_key(tmp_path: Path, toml: str, expected: str) -> None:
    [issue] = load_issues(tmp_path, toml)
    assert f"config.toml: {expected}" in issue


def test_every_wrong_text_of_a_list_is_reported(tmp_path: Path) -> None:
    assert len(load_issues(tmp_path, '[downloads]\nallowed_domains = ["*", "a.example", "a:1"]')) == 2


def test_a_socket_path_has_the_length_of_a_socket_address_at_most(tmp_path: Path) -> None:
    path = "/" + "ä" * ((MAX_SOCKET_PATH_BYTES - 1) // 2)
    assert load(tmp_path, f'[server]\nunix_socket = "{path}"').server.unix_socket == path
    [issue] = load_issues(tmp_path, f'[server]\nunix_socket = "{path}ä"')
    assert "107 bytes at most" in issue


def test_addresses_to_listen_on_are_checked_and_replace_the_host(tmp_path: Path) -> None:
    assert load(tmp_path, '[server]\nlisten = ["[::1]:80", "/a"]').server.listen == ("[::1]:80", "/a")
    [issue] = load_issues(tmp_path, '[server]\nlisten = ["::1", "a:b", "unix:/a"]')
    assert 'server.listen: expected an address such as "127.0.0.1:8080"' in issue
    [issue] = load_issues(tmp_path, f'[server]\nlisten = ["unix:/{"a" * MAX_SOCKET_PATH_BYTES}"]')
    assert "107 bytes at most" in issue
    [issue] = load_issues(tmp_path, '[server]\nlisten = ["::1"]\nhost = "::"')
    assert issue == "config.toml: server.host: server.listen is given too and replaces it; remove one of them"


@pytest.mark.parametrize(
    "toml",
    ["[server]\nport = 6800\n", '[server]\nlisten = ["127.0.0.1:6800"]\n', '[server]\nlisten = ["[::1]:6800"]\n'],
)
def test_a_further_port_that_is_that_of_the_server_is_refused(tmp_path: Path, toml: str) -> None:
    [issue] = load_issues(tmp_path, f"{toml}[aria2]\nport = 6800")
    assert issue.startswith("config.toml: aria2.port: is the port of the server already")
    assert load(tmp_path, f"{toml}[aria2]\nport = 6801").aria2.port == 6801


def test_origins_are_checked_and_get_their_canonical_spelling(tmp_path: Path) -> None:
    config = load(
        tmp_path, '[aria2]\nallow_origins = ["https://A.example:8443", "null", "chrome-extension://abc", "*"]'
    )
    assert config.aria2.allow_origins == ("https://a.example:8443", "null", "chrome-extension://abc", "*")
    issues = load_issues(
        tmp_path, '[aria2]\nallow_origins = ["a.example", "https://a/", "https://*.a", "", "https://"]'
    )
    assert len(issues) == 5
    assert all("aria2.allow_origins: expected an origin such as" in issue for issue in issues)


def test_paths_of_directories_get_their_canonical_spelling(tmp_path: Path) -> None:
    [directory] = load(tmp_path, '[[directories]]\npath = "/team//reports/"\nquota = 1').directories
    assert directory.path == "team/reports"
