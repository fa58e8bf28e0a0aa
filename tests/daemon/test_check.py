"""Check of the configuration without a start."""

from pathlib import Path

import pytest
from support.config_files import user

from downloadd.config import Flags
from downloadd.daemon.check import check
from downloadd.daemon.process import ProcessOptions
from downloadd.errors import StartupError
from downloadd.logs import LogFormat, LogLevel


def options(tmp_path: Path, toml: str = "") -> ProcessOptions:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return ProcessOptions(
        file=file,
        flags=Flags(state_dir=str(tmp_path / "state"), root=str(tmp_path / "files")),
        environment={},
        log_format=LogFormat.JSON,
        log_level=LogLevel.INFO,
    )


# A plugin of Apprise imports it.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_check_describes_the_configuration_and_creates_nothing(tmp_path: Path) -> None:
    lines = check(options(tmp_path, f"[downloads]\nallow = true\n{user()}")).splitlines()
    assert lines[0] == "The configuration is valid."
    assert any(line.split() == ["storage", "root", str(tmp_path / "files")] for line in lines)
    assert any("downloads.allow is now downloads.enabled" in line for line in lines)
    assert "the first start creates one" in check(options(tmp_path))
    named = check(options(tmp_path, f'[[directories]]\npath = "x"\nusers = ["mallory"]\n{user()}'))
    assert "users of [[directories]] x: no user has the id mallory now" in named
    with pytest.raises(StartupError, match="tls_cert"):
        check(options(tmp_path, f'[server]\ntls_cert = "{tmp_path}/none.pem"\n'))
    with pytest.raises(StartupError, match=r"notify\[0\] of the hook phone"):
        check(options(tmp_path, '[[hooks]]\nname = "phone"\nnotify = ["nothing://host"]\n'))
    assert {each.name for each in tmp_path.iterdir()} == {"config.toml"}
