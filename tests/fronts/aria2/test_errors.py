"""Errors of the RPC interface: the texts of aria2, and errors of the service as errors of a call."""

from string import Formatter

import pytest

from downloadd.errors import QueueFullError
from downloadd.fronts.aria2.errors import ErrorText, RpcError, make_error, refuse, translate_error
from downloadd.users import Permission, PermissionMissingError

EXACT = {
    "Unauthorized",
    "No such method: {name}",
    "The parameter at {index} is required but missing.",
    "The parameter at {index} has wrong type.",
    "The integer parameter at {index} has invalid value: the value must be greater than or equal to {minimum}.",
    "Invalid GID {gid}",
    "GID {gid} is not found",
    "GID {gid} is not unique",
    "URI is not provided.",
    "No URI to download.",
    "Position must be greater than or equal to 0.",
    "GID#{gid} cannot be paused now",
    "GID#{gid} cannot be unpaused now",
    "Active Download not found for GID#{gid}",
    "Could not remove download result of GID#{gid}",
    "GID#{gid} not found in the waiting queue.",
    "Illegal argument.",
    "Cannot change option for GID#{gid}",
    "Cannot remove URIs from GID#{gid}",
    "fileIndex is out of range",
    "No URI data is available for GID#{gid}",
    "No peer data is available for GID#{gid}",
    "No active download for GID#{gid}",
    "We encountered a problem while processing the option '--{name}'.",
    "system.multicall expected struct.",
    "Missing methodName.",
    "Recursive system.multicall forbidden.",
}


def test_the_texts_are_those_of_aria2() -> None:
    assert {text.value for text in ErrorText} == EXACT


@pytest.mark.parametrize("text", ErrorText)
def test_a_text_is_filled_with_its_values(text: ErrorText) -> None:
    names = [name for _, name, _, _ in Formatter().parse(text.value) if name is not None]
    error = make_error(text, **dict.fromkeys(names, "{x}"))
    assert error.code == 1
    assert error.message.count("{x}") == len(names)
    assert "{" not in error.message.replace("{x}", "")


def test_a_reason_is_a_second_sentence() -> None:
    error = make_error(ErrorText.BAD_OPTION, name="dir", reason="expected /x")
    assert error.message == "We encountered a problem while processing the option '--dir'. Expected /x."
    assert make_error(ErrorText.INVALID_GID, gid="x", reason="too short").message == "Invalid GID x. Too short."


def test_a_sentence_of_our_own_has_the_code_of_aria2() -> None:
    assert (refuse("No.").code, refuse("No.").message) == (1, "No.")


def test_half_a_surrogate_pair_can_be_sent() -> None:
    assert make_error(ErrorText.INVALID_GID, gid="\ud800").message == "Invalid GID \ufffd"


def test_an_error_of_the_service_keeps_its_detail() -> None:
    error = translate_error(QueueFullError(7))
    assert (error.code, error.message) == (1, "the limit of 7 waiting downloads is reached (downloads.max_queued)")


def test_an_rpc_error_stays() -> None:
    error = RpcError(3, "x")
    assert translate_error(error) is error


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (Permission.DOWNLOAD, "the permission download"),
        ("films", "the directory films"),
        ("", "the directory (the storage root)"),
    ],
)
def test_a_missing_permission_is_named_and_is_not_unauthorized(missing: str, named: str) -> None:
    error = translate_error(PermissionMissingError(missing))
    assert error.code == 1
    assert named in error.message
    assert "nauthorized" not in error.message
