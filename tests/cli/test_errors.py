"""Exit codes and error messages."""

import pytest

from downloadd.cli.errors import ExitStatus, to_command_error
from downloadd.client import ApiError, ClientError, ConnectionLostError, InvalidResponseError


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
    command_error = to_command_error(error, url="http://a.example/")
    assert (command_error.status, command_error.report and command_error.report.error) == (status, code)
    assert all(line.endswith(".") for line in command_error.lines)


def test_only_a_lost_connection_suggests_to_check_the_daemon() -> None:
    error = to_command_error(ConnectionLostError("x"), url="http://a.example/")
    invalid = to_command_error(InvalidResponseError("x"), url="http://a.example/")
    assert "http://a.example/" in error.lines[1]
    assert len(invalid.lines) == 1


def test_control_characters_are_not_printed() -> None:
    assert "\x1b" not in "".join(to_command_error(ConnectionLostError("\x1b[31m"), url="u").lines)
