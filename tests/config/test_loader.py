import os
from pathlib import Path

import pytest
from support.config_files import SECRET, credential, load, user

from downloadd.config import Config, ConfigError, Format, StorageConfig, load_config
from downloadd.daemon.configuration import PARSERS, read_config


def test_without_sources_the_defaults_apply() -> None:
    config = read_config(file=None, environment={"HOME": "/h"}).config
    assert config.storage == StorageConfig(root=os.path.abspath("downloads")), "the root is absolute"
    assert (config.downloads, config.imports, config.users) == (Config().downloads, Config().imports, ())


def test_formats_of_other_packages_are_passed_in(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[downloads]\nallowed_domains = ["a"]\n')
    parsers = {**PARSERS, Format.DOMAIN: str.upper}
    loaded = load_config(file=file, environment={"HOME": "/h"}, parsers=parsers)
    assert loaded.config.downloads.allowed_domains == ("A",)


def test_the_directory_of_a_hook_has_no_slashes_at_its_ends(tmp_path: Path) -> None:
    toml = '[[hooks]]\nname = "scan"\ncommand = ["x"]\ndirectory = "/team/*/"\n'
    assert load(tmp_path, toml).hooks[0].directory == "team/*"


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
    assert read_config(file=None, environment=environment).config.server.state_dir == expected


def test_without_any_home_the_state_directory_must_be_set() -> None:
    with pytest.raises(ConfigError, match=r"server\.state_dir: there is no HOME"):
        read_config(file=None, environment={})


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_secrets_are_masked_when_a_configuration_is_printed(tmp_path: Path) -> None:
    config = load(tmp_path, user() + credential(f'headers = {{ A = "{SECRET}" }}') + credential('user="u"', "b"))
    shown = repr(config) + str(config) + str([each.__rich_repr__() for each in (*config.users, *config.credentials)])
    assert SECRET not in shown
    assert "0" * 64 not in shown
    assert "a.example" in shown
