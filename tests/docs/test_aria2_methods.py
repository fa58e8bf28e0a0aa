"""The page about the methods of aria2: its tables are those of the code."""

import re

from docs.pages import read, rows, section

from downloadd.fronts.aria2.methods.method_table import METHODS, NAME_LISTS
from downloadd.fronts.aria2.options.option_table import EFFECTIVE
from downloadd.fronts.aria2.status.error_codes import BY_CAUSE, BY_ORIGIN_STATUS, EXIT_STATUSES, ExitStatus
from downloadd.fronts.aria2.status.notifications import NotificationMethod
from downloadd.fronts.aria2.status.status import STATUS_OF_STATE

PAGE = read("docs/reference/aria2-methods.md")


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_method_is_described_with_its_permission() -> None:
    described = {name: row[1].strip("`") for row in rows(PAGE.partition("## Options")[0]) for name in names(row[0])}
    expected = dict.fromkeys(NAME_LISTS["system.listMethods"], "")
    assert described == expected | {name: method.permission.value for name, method in METHODS.items()}


def test_every_option_with_an_effect_is_described() -> None:
    described = [name for row in rows(section(PAGE, "Options")) for name in names(row[0])]
    assert len(described) == len(set(described))
    assert set(described) == EFFECTIVE | {"dry-run", "hash-check-only"}


def test_every_status_is_described_with_its_states() -> None:
    text = section(PAGE, "Status and errors").partition("| `errorCode`")[0]
    described = {state: names(row[0])[0] for row in rows(text) for state in names(row[1])}
    assert described == {state.value: status.value for state, status in STATUS_OF_STATE.items()}


def test_every_exit_status_is_described_with_its_errors() -> None:
    text = "| `errorCode`" + section(PAGE, "Status and errors").partition("| `errorCode`")[2]
    described = {(int(names(row[0])[0]), error) for row in rows(text) for error in names(row[1])}
    expected = {(int(status), error.value) for error, status in EXIT_STATUSES.items()}
    expected |= {(int(status), "NETWORK_ERROR") for status in BY_CAUSE.values()}
    expected |= {(int(status), "REMOTE_ERROR") for status in BY_ORIGIN_STATUS.values()}
    assert described == expected
    assert {int(names(row[0])[0]) for row in rows(text)} == {int(status) for status in ExitStatus}


def test_every_notification_is_described() -> None:
    text = section(PAGE, "Notifications")
    assert {method.value for method in NotificationMethod} == {name for name in names(text) if "." in name}
