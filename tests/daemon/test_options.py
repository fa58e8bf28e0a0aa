import click
import pytest
from click.testing import CliRunner

from downloadd.config.fields import Setting
from downloadd.config.sources import iter_settings
from downloadd.daemon.main import command
from downloadd.daemon.options import setting_option

FLAGS = [setting for setting in iter_settings() if setting.flag]


@pytest.mark.parametrize("setting", FLAGS, ids=[setting.flag for setting in FLAGS])
def test_the_help_of_an_option_is_the_description_of_its_setting(setting: Setting) -> None:
    assert isinstance(command, click.Command)
    [option] = [each for each in command.params if setting.flag in each.opts]
    assert isinstance(option, click.Option)
    assert option.help is not None
    assert option.help.startswith(setting.description)


def test_the_help_shows_descriptions_and_defaults() -> None:
    shown = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "Port to listen on; 0 picks a free one, which the log names. [default: 8080]" in shown
    assert "Let users start downloads; otherwise they are refused." in shown
    assert "Repeatable; replaces the list of the file." in shown


def test_an_option_has_the_type_of_its_setting() -> None:
    @click.command()
    @setting_option("--port")
    @setting_option("--allow-domain")
    @setting_option("--allow-download")
    def show(**options: object) -> None:
        click.echo(sorted(options.items()))

    run = CliRunner().invoke
    arguments = ["--port", "1", "--allow-domain", "a", "--allow-domain", "b", "--allow-download"]
    expected = [("allow_domain", ("a", "b")), ("allow_download", True), ("port", 1)]
    assert run(show, arguments).output.strip() == str(expected)
    assert run(show, []).output.strip() == str([("allow_domain", ()), ("allow_download", False), ("port", None)])
    assert run(show, ["--port", "x"]).exit_code == 2
