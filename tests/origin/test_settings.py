"""Settings of the requests to origins."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from downloadd.config import Config, CredentialConfig, DownloadsConfig
from downloadd.errors import DomainBlockedError, StartupError
from downloadd.origin.settings import OriginSettings


def test_the_settings_are_those_of_the_configuration_and_its_files(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.touch(mode=0o600)
    netrc.write_text("machine b.example login u password p\n")
    config = Config(
        credentials=(CredentialConfig(host="a.example", user="u"),),
        downloads=DownloadsConfig(allowed_domains=("a.example",), netrc=str(netrc)),
    )
    settings = OriginSettings.load(config, {})
    assert settings.policy.check_url("https://a.example/").host == "a.example"
    with pytest.raises(DomainBlockedError):
        settings.policy.check_url("https://b.example/")
    assert [each.host for each in settings.credentials] == ["a.example", "b.example"]
    assert settings.tls.context_for("a.example").check_hostname


@pytest.mark.parametrize("setting", ["ca_file", "netrc"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, setting: str) -> None:
    config = Config(downloads=replace(DownloadsConfig(), **{setting: str(tmp_path / "missing")}))
    with pytest.raises(StartupError, match=f"{setting}: .*missing: cannot be read"):
        OriginSettings.load(config, {})


def test_a_variable_that_cannot_be_used_is_named_if_it_is_used() -> None:
    environment = {"https_proxy": "ftp://user:hush4711@proxy/"}
    assert OriginSettings.load(Config(), environment).proxies.names == frozenset()
    config = Config(downloads=DownloadsConfig(proxy_from_environment=True))
    with pytest.raises(StartupError, match=r"proxy_from_environment: https_proxy: must begin with") as caught:
        OriginSettings.load(config, environment)
    assert "hush4711" not in caught.value.message
