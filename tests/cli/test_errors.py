"""Exit codes and error messages."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from downloadd.cli.daemon_location import DaemonLocation
from downloadd.cli.errors import ExitStatus, to_command_error
from downloadd.client import ApiError, ClientError, ConnectionLostError, InvalidResponseError

LOCATION = DaemonLocation(url="http://a.example/", token="t", ca_file=None)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ApiError("unauthorized", 401), ExitStatus.DENIED, "unauthorized"),
        (ApiError("error-unauthorized", 403), ExitStatus.DENIED, "error-unauthorized"),
        (ApiError("DOWNLOAD_FORBIDDEN", 403), ExitStatus.FAILED, "DOWNLOAD_FORBIDDEN"),
        (ApiError("NOT_FOUND", 404), ExitStatus.FAILED, "NOT_FOUND"),
        (ConnectionLostError("x"), ExitStatus.UNREACHABLE, "UNREACHABLE"),
        (InvalidResponseError("x"), ExitStatus.UNREACHABLE, "UNREACHABLE"),
    ],
)
def test_a_failed_call_has_an_exit_code_and_a_report(error: ClientError, status: ExitStatus, code: str) -> None:
    command_error = to_command_error(error, LOCATION)
    assert (command_error.status, command_error.report and command_error.report.error) == (status, code)
    assert all(line.endswith(".") for line in command_error.lines)


def test_only_a_lost_connection_suggests_to_check_the_daemon() -> None:
    error = to_command_error(ConnectionLostError("x"), LOCATION)
    invalid = to_command_error(InvalidResponseError("x"), LOCATION)
    assert "http://a.example/" in error.lines[1]
    assert len(invalid.lines) == 1


def test_control_characters_are_not_printed() -> None:
    assert "\x1b" not in "".join(to_command_error(ConnectionLostError("\x1b[31m"), LOCATION).lines)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (LOCATION, "is refused by http://a.example/"),
        (replace(LOCATION, token=None, searched=(Path("/s"),)), "no token for http://a.example/; searched in /s"),
        (
            replace(LOCATION, stored_token=Path("/s/token")),
            "The token in /s/token is refused: the first user",
        ),
    ],
)
def test_a_refused_token_has_its_place_and_what_to_do(location: DaemonLocation, expected: str) -> None:
    lines = to_command_error(ApiError("unauthorized", 401), location).lines
    assert expected in lines[0]
    assert "--token-file or DOWNLOADD_TOKEN" in lines[1]
