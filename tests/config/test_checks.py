from base64 import b64encode
from pathlib import Path

import pytest
from support.config_files import (
    OTHER_HASH,
    SECRET,
    SIGNING_KEY,
    TOKEN_HASH,
    WEBHOOK,
    credential,
    hook,
    load,
    load_issues,
    user,
)
from support.origin.tls import Authority

from downloadd.config import HostConfig, decode_secret

# -- combinations ------------------------------------------------------------------------------------------------------


def test_a_key_without_a_certificate_is_refused(tmp_path: Path) -> None:
    [issue] = load_issues(tmp_path, '[server]\ntls_key = "key.pem"')
    assert issue == "config.toml: server.tls_key: needs server.tls_cert"


def test_files_of_authorities_are_read_and_refused_by_key_and_path(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(Authority().certificate)
    (tmp_path / "text.pem").write_text("hello")
    toml = '[downloads]\nca_file = "{0}/{1}"\n[[hosts]]\nhost = "NAS.lan."\nca_file = "{0}/{1}"\n'
    config = load(tmp_path, toml.format(tmp_path, "ca.pem"))
    assert config.downloads.ca_file == config.hosts[0].ca_file == f"{tmp_path}/ca.pem"
    assert config.hosts[0].host == "nas.lan"
    assert load(tmp_path, '[downloads]\nca_file = ""').downloads.ca_file == ""
    assert load_issues(tmp_path, toml.format(tmp_path, "text.pem")) == [
        "config.toml: downloads.ca_file: text.pem: no certificate in it; expected PEM",
        "config.toml: hosts[0].ca_file: text.pem: no certificate in it; expected PEM",
    ]
    assert all("cannot be read" in issue for issue in load_issues(tmp_path, toml.format(tmp_path, "missing.pem")))


def test_two_tables_for_one_host_and_a_table_without_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(Authority().certificate)
    table = f'[[hosts]]\nhost = "nas.lan"\nca_file = "{tmp_path}/ca.pem"\n'
    [issue] = load_issues(tmp_path, table * 2)
    assert issue.startswith("config.toml: hosts[1].host: nas.lan has settings already, in hosts[0] of ")
    assert load_issues(tmp_path, '[[hosts]]\nhost = "nas.lan"') == [
        "config.toml: hosts[0]: has no settings but the host; give it one, such as ca_file or slots"
    ]


def test_settings_of_a_host_are_read(tmp_path: Path) -> None:
    leaf = Authority().issue("client")
    (tmp_path / "client.pem").write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    [host] = load(
        tmp_path,
        f'[[hosts]]\nhost = "nas.lan"\nclient_certificate = "{tmp_path}/client.pem"\nmin_tls_version = "1.3"\n'
        'bind_address = "2001:DB8::0001"\naddress_family = "ipv6"\nconnect_timeout = 2\nslots = 3\n',
    ).hosts
    assert host == HostConfig(
        host="nas.lan",
        client_certificate=f"{tmp_path}/client.pem",
        min_tls_version="1.3",
        bind_address="2001:db8::1",
        address_family="ipv6",
        connect_timeout=2,
        slots=3,
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('client_key = "k.pem"', "client_key: is given without client_certificate"),
        ('client_certificate = "c.pem"', "client_certificate: c.pem: cannot be read"),
        ('client_certificate = "c\\u0000"', "client_certificate: a path may not hold control characters"),
        ('min_tls_version = "1.1"', 'min_tls_version: expected "1.2" or "1.3", got "1.1"'),
        ('bind_address = "nas"', "bind_address: expected an IP address, such as 192.0.2.7"),
        ('bind_address = "::1"\naddress_family = "ipv4"', "bind_address: is an address of ipv6, but address_family is"),
        ('address_family = "ipv5"', 'address_family: expected "any", "ipv4" or "ipv6"'),
        ("connect_timeout = 0", "connect_timeout: expected a number from 0.1 to 3600"),
        ("slots = 0", "slots: expected an integer from 1"),
        ('ca_file = ""', "ca_file: expected the path of a file"),
    ],
)
def test_a_wrong_setting_of_a_host_is_refused(tmp_path: Path, settings: str, expected: str) -> None:
    [issue] = load_issues(tmp_path, f'[[hosts]]\nhost = "nas.lan"\n{settings}\n')
    assert f"hosts[0].{expected}" in issue


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ('[downloads]\nca_file = "{}"\n', "downloads.ca_file"),
        ('[downloads]\nnetrc = "{}"\n', "downloads.netrc"),
        ('[[hosts]]\nhost = "nas.lan"\nca_file = "{}"\n', "hosts[0].ca_file"),
        ('[[hosts]]\nhost = "nas.lan"\nclient_certificate = "{}"\n', "hosts[0].client_certificate"),
    ],
)
def test_a_file_with_secrets_or_authorities_below_the_root_is_refused(tmp_path: Path, toml: str, key: str) -> None:
    root = tmp_path / "files"
    root.mkdir()
    file = root / "file.pem"
    authority = Authority()
    content = {"ca_file": authority.certificate, "netrc": b"machine a.example login u password p\n"}
    file.write_bytes(
        content.get(key.rpartition(".")[2], authority.issue("client").private_key_and_cert_chain_pem.bytes())
    )
    file.chmod(0o600)
    [issue] = load_issues(tmp_path, f'[storage]\nroot = "{root}"\n' + toml.format(file))
    assert f"{key} (" in issue
    assert "lies in it, where a download could overwrite it" in issue


@pytest.mark.parametrize("key", ["state_dir", "unix_socket", "listen", "tls_cert"])
def test_a_file_of_the_daemon_below_the_root_is_refused(tmp_path: Path, key: str) -> None:
    root = tmp_path / "files"
    (tmp_path / "link").symlink_to(root)
    value = f'["unix:{tmp_path}/link/x"]' if key == "listen" else f'"{tmp_path}/link/x"'
    toml = f'[server]\n{key} = {value}\n[storage]\nroot = "{root}"\n'
    [issue] = load_issues(tmp_path, toml)
    assert f"storage.root: server.{key} (" in issue
    assert "lies in it, where a download could overwrite it" in issue


def test_the_configuration_itself_below_the_root_is_refused(tmp_path: Path) -> None:
    [issue] = load_issues(tmp_path, f'[storage]\nroot = "{tmp_path}"')
    assert "storage.root: the configuration (" in issue


def test_two_tables_for_one_directory_are_refused(tmp_path: Path) -> None:
    [issue] = load_issues(tmp_path, '[[directories]]\npath = "a"\n[[directories]]\npath = "/a/"\n')
    assert issue.startswith("config.toml: directories[1].path: is that of directories[0] of ")


def test_users_of_directories_may_be_made_later(tmp_path: Path) -> None:
    assert load(tmp_path, '[[directories]]\npath = "a"\nusers = ["b"]\n' + user()).directories


# -- lists of tables ---------------------------------------------------------------------------------------------------


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
        pytest.param(user(token_hash=TOKEN_HASH + "\\n"), "expected sha256: and 64", id="hash and a line feed"),
        pytest.param(user(id=""), "expected a text in quotes of 1 to 128 characters", id="empty id"),
        pytest.param(user(id="a\\r\\nb"), "users[0].id: may not hold control characters", id="line break in an id"),
        pytest.param(user(rest="role = 1"), "users[0].role: unknown key", id="unknown key"),
    ],
)
def test_a_wrong_user_is_refused(tmp_path: Path, toml: str, expected: str) -> None:
    (found,) = load_issues(tmp_path, toml)
    assert expected in found


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
        pytest.param(credential('headers = { "A B" = "c" }'), "header field number 1 is not one", id="bad name"),
        pytest.param(credential('headers = { "" = "c" }'), "header field number 1 is not one", id="empty name"),
        pytest.param(credential('headers = { Range = "c" }'), "Range cannot be set", id="our own field"),
        pytest.param(
            credential(f'cookies = {{ a = "{SECRET}; b" }}'), "cookies: the value of cookie", id="two cookies"
        ),
        pytest.param(credential(f'referer = "a {SECRET}"'), "referer: holds a space", id="referer"),
        pytest.param(credential(f'user_agent = "{SECRET}\\n"'), "user_agent: holds a line break", id="user agent"),
        pytest.param(
            credential(f'headers = {{ Cookie = "a={SECRET}" }}\ncookies = {{ a = "b" }}'), "twice", id="cookies twice"
        ),
        pytest.param(credential('headers = { A = "b", a = "c" }'), "a is given twice", id="same field twice"),
        pytest.param(credential("headers = { A = 1 }"), "headers: expected a table of texts", id="integer as value"),
        pytest.param(credential(f'password = "{SECRET}"\nheaders = {{A="b"}}'), "without user", id="password alone"),
        pytest.param(credential(f'user = "{SECRET}:x"'), "may not hold a colon", id="colon in the user"),
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


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param(hook(""), "hooks[0]: expected one of url, command, extract, move_to, notify", id="nothing"),
        pytest.param(hook(f'{WEBHOOK}\ncommand = ["x"]'), "hooks[0]: expected one of url", id="two things"),
        pytest.param(hook('move_to = "archive"'), "hooks[0].move_to: expected an absolute path", id="relative path"),
        pytest.param(hook('move_to = "/a/{x}"'), "hooks[0].move_to: {x} is not a placeholder", id="placeholder"),
        pytest.param(hook('extract = true\nevents = ["failed"]'), "hooks[0].events: expected completed", id="no file"),
        pytest.param(hook(f'url = "https://a/{SECRET}"'), "hooks[0].secret: expected whsec_ and 24", id="no secret"),
        pytest.param(hook(f'url = "https://a"\nsecret = "{SECRET}"'), "secret: expected whsec_", id="another secret"),
        pytest.param(hook('url = "https://a"\nsecret = "whsec_QUJD"'), "secret: expected whsec_", id="short secret"),
        pytest.param(
            hook(f'command = ["x"]\nsecret = "{SIGNING_KEY}"'), "secret: is given without url", id="secret alone"
        ),
        pytest.param(
            hook(f'url = "ftp://{SECRET}/"\nsecret = "{SIGNING_KEY}"'), "url: expected an http://", id="scheme"
        ),
        pytest.param(
            hook(f'url = "https://[{SECRET}"\nsecret = "{SIGNING_KEY}"'), "url: expected an http://", id="no URL"
        ),
        pytest.param(hook(f'command = "{SECRET}"'), "command: expected a list of texts", id="command line"),
        pytest.param(hook('command = [""]'), "command: expected a program", id="empty command"),
        pytest.param(hook(f'{WEBHOOK}\nevents = ["complete"]'), "did you mean completed?", id="event"),
        pytest.param(hook(f"{WEBHOOK}\nevents = []"), "events: expected a list of events", id="no events"),
        pytest.param(hook(f"{WEBHOOK}\ntimeout = 0"), "timeout: expected a number from 1 to 3600", id="no time"),
        pytest.param(hook(WEBHOOK, name="a b"), "name: expected 1 to 64 letters", id="bad name"),
        pytest.param(hook(WEBHOOK) + hook(WEBHOOK), 'hooks[1].name: "chat" is taken already, by hooks[0]', id="name"),
    ],
)
def test_a_wrong_hook_is_refused_without_showing_its_secrets(tmp_path: Path, toml: str, expected: str) -> None:
    (found,) = load_issues(tmp_path, toml)
    assert expected in found
    assert SECRET not in found
    assert SIGNING_KEY not in found


def test_a_hook_is_printed_without_its_secrets(tmp_path: Path) -> None:
    config = load(tmp_path, hook(WEBHOOK) + hook(f'command = ["x", "{SECRET}"]', "scan"))
    shown = repr(config) + str([each.__rich_repr__() for each in config.hooks])
    assert "scan" in shown
    assert SECRET not in shown
    assert SIGNING_KEY not in shown


def test_hosts_of_credentials_get_their_canonical_spelling(tmp_path: Path) -> None:
    config = load(tmp_path, credential('user = "u"', host="BÜCHER.example."))
    assert config.credentials[0].host == "xn--bcher-kva.example"


@pytest.mark.parametrize(("length", "is_valid"), [(23, False), (24, True), (64, True), (65, False)])
def test_a_secret_holds_24_to_64_bytes(length: int, is_valid: bool) -> None:
    key = bytes(range(length))
    assert decode_secret(f"whsec_{b64encode(key).decode()}") == (key if is_valid else None)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_???", b64encode(bytes(32)).decode()])
def test_a_malformed_secret_has_no_key(secret: str) -> None:
    assert decode_secret(secret) is None


# -- proxies -----------------------------------------------------------------------------------------------------------


def proxy(settings: str, name: str = "office") -> str:
    return f'[[proxies]]\nname = "{name}"\n{settings}\n'


def test_proxies_are_read_and_printed_without_secrets(tmp_path: Path) -> None:
    toml = proxy(f'url = "http://proxy:3128"\nuser = "u"\npassword = "{SECRET}"\nhosts = ["a.example", "*.b.example"]')
    config = load(tmp_path, toml + proxy(f'url = "socks5://u:{SECRET}@127.0.0.1"', "abroad"))
    assert [(each.name, each.hosts) for each in config.proxies] == [
        ("office", ("a.example", "*.b.example")),
        ("abroad", ("*",)),
    ]
    assert SECRET not in f"{config!r} {[each.__rich_repr__() for each in config.proxies]}"


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (proxy(""), "proxies[0].url: is missing"),
        (proxy(f'url = "ftp://u:{SECRET}@proxy"'), "proxies[0].url: must begin with one of http://, https://"),
        (proxy(f'url = "http://u:{SECRET}@"'), "proxies[0].url: "),
        (proxy(f'url = "http://proxy:1/{SECRET}"'), "proxies[0].url: expected scheme, host and port alone"),
        (proxy(f'url = "{SECRET}"'), "proxies[0].url: must begin with"),
        (proxy('url = "http://p"\nhosts = ["https://a/"]'), "proxies[0].hosts: 'https://a/' is not a domain"),
        (proxy(f'url = "http://p"\npassword = "{SECRET}"'), "proxies[0].password: is given without user"),
        (proxy(f'url = "http://p"\nuser = "{SECRET}:x"'), "proxies[0].user: may not hold a colon"),
        (proxy(f'url = "http://u:{SECRET}@p"\nuser = "u"'), "proxies[0].user: is given in url too"),
        (proxy(f'url = "socks5://p"\nuser = "{SECRET * 40}"'), "proxies[0]: user or password is longer than 255 bytes"),
        (proxy('url = "http://p"', "a b"), "proxies[0].name: expected 1 to 64 letters"),
        (proxy('url = "http://p"') * 2, 'proxies[1].name: "office" is taken already, by proxies[0]'),
        ('[downloads]\nproxy_dns = "remote"', 'downloads.proxy_dns: expected "local" or "proxy"'),
    ],
)
def test_a_wrong_proxy_is_refused_without_showing_its_secrets(tmp_path: Path, toml: str, expected: str) -> None:
    [issue] = load_issues(tmp_path, toml)
    assert expected in issue
    assert SECRET not in issue


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{SECRET}@h/d",
        f"postgresql://u:{SECRET}@h",
        f"postgresql://u:{SECRET}@h/",
        f"u:{SECRET}@h/d",
        f"postgresql://u:{SECRET} x@h/d",
    ],
)
def test_a_wrong_url_of_a_database_is_refused_without_showing_its_password(tmp_path: Path, url: str) -> None:
    [issue] = load_issues(tmp_path, f'{user()}[cluster]\ndatabase = "{url}"\n')
    assert "cluster.database: expected postgresql://USER:PASSWORD@HOST:PORT/NAME" in issue
    assert SECRET not in issue


@pytest.mark.parametrize("value", ["1", f'["{SECRET}"]'])
def test_a_database_of_another_type_is_refused(tmp_path: Path, value: str) -> None:
    [issue] = load_issues(tmp_path, f"{user()}[cluster]\ndatabase = {value}\n")
    assert "cluster.database: expected a text" in issue
    assert SECRET not in issue


@pytest.mark.parametrize("setting", ['node = "a b"', f'node = "{"a" * 65}"', 'node = "ä"', 'node = "a\\n"'])
def test_a_name_of_a_node_that_others_cannot_use_is_refused(tmp_path: Path, setting: str) -> None:
    [issue] = load_issues(tmp_path, f"[cluster]\n{setting}\n")
    assert "cluster.node: expected up to 64 letters, digits, dots, hyphens and underscores" in issue


@pytest.mark.parametrize("lease", ["0.9", "301", '"long"'])
def test_a_lease_out_of_range_is_refused(tmp_path: Path, lease: str) -> None:
    [issue] = load_issues(tmp_path, f"[cluster]\nlease = {lease}\n")
    assert "cluster.lease: expected a number from 1 to 300" in issue


def test_name_and_lease_of_a_node_may_come_from_the_environment(tmp_path: Path) -> None:
    environment = {"DOWNLOADD_CLUSTER__NODE": "node-1.b_c", "DOWNLOADD_CLUSTER__LEASE": "1.5"}
    cluster = load(tmp_path, environment=environment).cluster
    assert (cluster.node, cluster.lease) == ("node-1.b_c", 1.5)
    assert (load(tmp_path).cluster.node, load(tmp_path).cluster.lease) == ("", 15)


def test_a_database_is_secret_and_may_have_the_users(tmp_path: Path) -> None:
    database = f'[cluster]\ndatabase = "postgres:///d?host=/run/x&password={SECRET}"\n'
    assert SECRET not in repr(load(tmp_path, user() + database))
    assert load(tmp_path, database).users == ()
