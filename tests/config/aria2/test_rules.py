"""Rules of the table, each by the value that it derives."""

import hashlib
import re
import subprocess
from typing import Any

import pytest

from downloadd.config.aria2.reasons import REASONS
from downloadd.config.aria2.rule import Conf, Derived, OptionError, Unused
from downloadd.config.aria2.rules import RULES
from downloadd.config.aria2.syntax import parse_options
from downloadd.config.fields import read_settings
from downloadd.config.sources import LISTS, TABLES


def derive(text: str) -> dict[str, Any]:
    """Return what the rules derive that the options of a text call for; by setting, a reason as `Unused`."""
    conf = Conf({option.name: option for option in parse_options(text)}, "/home/ann")
    derived = {rule.setting: rule.derive(conf) for rule in RULES if any(conf.line(name) for name in rule.options)}
    return {key: each.value if isinstance(each, Derived) else each for key, each in derived.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dir=${HOME}/Downloads", {"storage.root": "/home/ann/Downloads"}),
        ("dir=", {"storage.root": Unused("it is empty")}),
        ("max-concurrent-downloads=7", {"downloads.max_concurrent": 7}),
        ("split=8", {"downloads.segments": 1}),
        ("split=8\nmax-connection-per-server=4", {"downloads.segments": 4, "downloads.max_per_host": 20}),
        (
            "max-connection-per-server=16\nmax-concurrent-downloads=2",
            {"downloads.segments": 5, "downloads.max_per_host": 32, "downloads.max_concurrent": 2},
        ),
        ("split=64\nmax-connection-per-server=64", {"downloads.segments": 16, "downloads.max_per_host": 320}),
        ("max-overall-download-limit=2M", {"downloads.speed_limit": 2 << 20}),
        ("max-tries=5", {"downloads.max_retries": 4}),
        ("max-tries=1", {"downloads.max_retries": 0}),
        ("max-tries=0", {"downloads.max_retries": 1000}),
        ("max-tries=99999", {"downloads.max_retries": 1000}),
        ("timeout=20", {"downloads.stall_timeout": 20}),
        ("ca-certificate=~/ca.pem", {"downloads.ca_file": "/home/ann/ca.pem"}),
        ("netrc-path=/n", {"downloads.netrc": "/n"}),
        ("netrc-path=/n\nno-netrc=true", {"downloads.netrc": Unused("no netrc file is read")}),
        ("no-netrc=false", {"downloads.netrc": Unused("name the file with netrc-path")}),
        ("allow-overwrite=true\nauto-file-renaming=false", {"directories": {"path": "", "conflict": "overwrite"}}),
        ("auto-file-renaming=false", {"directories": {"path": "", "conflict": "error"}}),
        ("conditional-get=true", {"directories": {"path": "", "skip_same": True}}),
        (
            "conditional-get=true\nallow-overwrite=true",
            {"directories": {"path": "", "skip_same": True, "conflict": "overwrite"}},
        ),
        (
            "allow-overwrite=false",
            {"directories": Unused("a file whose name is taken gets another one by default")},
        ),
        ("enable-rpc=true", {"aria2.port": 6800}),
        ("rpc-listen-port=16800", {"aria2.port": 16800}),
        ("enable-rpc", {"aria2.port": 6800}),
        ("rpc-listen-all=true", {"server.host": "0.0.0.0"}),
        ("rpc-listen-all=false", {"server.host": "127.0.0.1"}),
        ("rpc-allow-origin-all=true", {"aria2.allow_origins": ["*"]}),
        ("rpc-allow-origin-all=false", {"aria2.allow_origins": []}),
        (
            "rpc-secure=true\nrpc-certificate=/c.pem\nrpc-private-key=/k.pem",
            {"server.tls_cert": "/c.pem", "server.tls_key": "/k.pem"},
        ),
        (
            "rpc-certificate=/c.pem\nrpc-private-key=/k.pem",
            dict.fromkeys(("server.tls_cert", "server.tls_key"), Unused("rpc-secure is not true")),
        ),
        ("rpc-secure=true", {"server.tls_cert": Unused("rpc-certificate is not given")}),
        ("check-certificate=true", {"": Unused("certificates are always checked")}),
    ],
)
def test_options_become_settings(text: str, expected: dict[str, Any]) -> None:
    assert derive(text) == expected


@pytest.mark.parametrize("name", ["c.p12", "c.PFX"])
def test_a_certificate_in_another_format_is_not_used(name: str) -> None:
    derived = derive(f"rpc-secure=true\nrpc-certificate=/{name}\nrpc-private-key=/k.pem")
    assert [isinstance(each, Unused) and "openssl pkcs12" in each.reason for each in derived.values()] == [True, True]


def test_the_rpc_that_is_disabled_has_no_port() -> None:
    [derived] = derive("enable-rpc=false\nrpc-listen-port=6800").values()
    assert "aria2.enabled = false" in derived.reason


def test_the_secret_becomes_the_token_of_a_user() -> None:
    digest = hashlib.sha256(b"s3cret s3cret s3cret").hexdigest()
    assert derive("rpc-secret=s3cret s3cret s3cret") == {"users": {"id": "aria2", "token_hash": f"sha256:{digest}"}}
    with pytest.raises(OptionError, match="may not be empty"):
        derive("rpc-secret=")


def test_a_secret_that_can_be_guessed_is_remarked() -> None:
    [rule] = [rule for rule in RULES if rule.setting == "users"]
    for secret, is_short in (("1234", True), ("s3cret s3cret s3cret", False)):
        derived = rule.derive(Conf({option.name: option for option in parse_options(f"rpc-secret={secret}")}, ""))
        assert isinstance(derived, Derived)
        assert ("guessed" in derived.note) is is_short


@pytest.mark.parametrize("option", ["input-file", "save-session"])
def test_a_file_to_import_is_named_with_its_command(option: str) -> None:
    [derived] = derive(f"{option}=~/my list").values()
    assert derived == Unused("import it with: downloadctl import --kind urls '/home/ann/my list'")


def test_a_certificate_is_checked_against_the_will_of_the_file_with_a_hint() -> None:
    [derived] = derive("check-certificate=false").values()
    assert "downloads.ca_file" in derived.reason


def test_every_setting_of_a_rule_exists() -> None:
    for rule in RULES:
        for key in (rule.setting, *rule.replaced_by, rule.unless_equal):
            table, _, name = key.partition(".")
            assert key in {"", *LISTS} or name in read_settings(table, TABLES[table]), key


@pytest.mark.system
def test_every_option_of_aria2_is_in_the_table() -> None:
    shown = subprocess.run(["aria2c", "--help=#all"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^ (?:-\w, )?--([a-z0-9-]+)", shown, re.MULTILINE))
    assert len(options) > 150
    assert options - {option for rule in RULES for option in rule.options} - set(REASONS) == set()
