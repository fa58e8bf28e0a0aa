"""Who and what is to be imported, in either shape that a client may send.

Pure: no I/O and no clock.
"""

from typing import Any

from downloadd.import_operation import Selection
from downloadd.imports.refusal import ImportRefusedError, RefusalCode


def parse_selection(value: Any) -> Selection:
    """The selection in `{"users": …, "channels": …}`.

    Each is a list of what `getImportFileData` gave, with `do_import` set on each, or `{"all": true}`, or `{"list":
    ["<id>", …]}`; missing means nobody.

    Raises:
        ImportRefusedError: it has another shape.
    """
    if not isinstance(value, dict):
        raise _invalid_parameter("input", "an object with users and channels")
    return Selection(
        users=_parse_ids(value.get("users"), "users", "user_id"),
        channels=_parse_ids(value.get("channels"), "channels", "channel_id"),
    )


def _parse_ids(value: Any, name: str, key: str) -> frozenset[str] | None:
    """The selected ids; None for all."""
    match value:
        case None:
            return frozenset()
        case {"all": True}:
            return None
        case {"list": list(ids)} if all(isinstance(one, str) for one in ids):
            return frozenset(ids)
        case {"all": False} | {}:
            return frozenset()
        case list(entries):
            if not all(isinstance(one, dict) and isinstance(one.get(key), str) for one in entries):
                raise _invalid_parameter(name, f"entries with {key} and do_import")
            return frozenset(one[key] for one in entries if one.get("do_import", True) is True)
        case _:
            raise _invalid_parameter(name, 'a list, {"all": true} or {"list": ["<id>"]}')


def _invalid_parameter(name: str, expected: str) -> ImportRefusedError:
    return ImportRefusedError(f"{name}: expected {expected}", RefusalCode.INVALID_PARAMS)
