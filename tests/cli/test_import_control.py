"""Texts of the commands that retry and end imports; `test_downloadctl.py` runs them."""

import pytest

from downloadd.cli.import_control import import_end, import_retry


@pytest.mark.parametrize("command", [import_end, import_retry])
def test_each_command_takes_the_id_of_an_operation(command: object) -> None:
    [argument] = [one for one in command.params if one.param_type_name == "argument"]  # type: ignore[attr-defined]
    assert (argument.name, argument.required) == ("operation", True)
