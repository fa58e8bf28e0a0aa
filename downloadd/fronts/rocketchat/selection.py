"""Selections in the forms that clients of Rocket.Chat send.

Pure: no I/O and no clock.
"""

from typing import Any

from downloadd.import_operation import ImportErrorCode, Selection
from downloadd.imports.refusal import ImportRefusedError


def parse_selection(value: Any) -> Selection:
    """Return the selection in `{"users": …, "channels": …}`.

    Each is the list of `getImportFileData` with `do_import` set on each entry, or `{"all": true}`, or
    `{"list": ["<id>", …]}`; a missing one selects nothing.

    Raises:
        ImportRefusedError: the value has another form.
    """
    if not isinstance(value, dict):
        raise _invalid_parameter("input", "an object with users and channels")
    return Selection(
        users=_parse_ids(value.get("users"), "users", "user_id"),
        channels=_parse_ids(value.get("channels"), "channels", "channel_id"),
    )


def _parse_ids(value: Any, name: str, key: str) -> frozenset[str] | None:
    """Return the selected ids; None for all."""
    match value:
        case None:
            return frozenset()
        case {"all": True}:
            return None
        case {"list": list(ids)} if all(isinstance(id, str) for id in ids):
            return frozenset(ids)
        case {"all": False} | {}:
            return frozenset()
        case list(entries):
            if not all(isinstance(entry, dict) and isinstance(entry.get(key), str) for entry in entries):
                raise _invalid_parameter(name, f"entries with {key} and do_import")
            return frozenset(entry[key] for entry in entries if entry.get("do_import", True) is True)
        case _:
            raise _invalid_parameter(name, 'a list, {"all": true} or {"list": ["<id>"]}')


def _invalid_parameter(name: str, expected: str) -> ImportRefusedError:
    return ImportRefusedError(f"{name}: expected {expected}", ImportErrorCode.INVALID_PARAMETER)
