"""Limits of the attempts of one download, which replace the configured ones.

Pure: no I/O and no clock.
"""

from typing import Any, Final

import msgspec


class AttemptOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The limits that a request states; None for the configured ones."""

    max_retries: int | None = None
    """Failed attempts in a row that are followed by another one. Unlike the configured number, it counts attempts that
    failed because of the host too: with 0, the first failure ends the download."""
    retry_wait: int | None = None
    """Seconds between two attempts at least."""
    stall_timeout: float | None = None
    """Seconds without a byte after which an attempt fails; 0 for no limit."""
    connect_timeout: float | None = None
    """Seconds for a connection to be made; 0 for no limit. None: the time of the host, or `stall_timeout`."""
    min_speed: int | None = None
    """Bytes a second; an attempt that receives less on average fails. 0 for no limit."""


NO_OPTIONS: Final = AttemptOptions()
"""Options of a download whose request states none."""


def select_attempt_options(parameters: object) -> AttemptOptions | None:
    """Return the options among the attributes of `parameters`; None if all of them are None."""
    given = {name: getattr(parameters, name) for name in AttemptOptions.__struct_fields__}
    return None if all(value is None for value in given.values()) else AttemptOptions(**given)


def change_attempt_options(options: AttemptOptions | None, changes: AttemptOptions) -> AttemptOptions:
    """Return options with those of `changes` that are given in place of their own."""
    given: dict[str, Any] = {
        name: value for name in changes.__struct_fields__ if (value := getattr(changes, name)) is not None
    }
    return msgspec.structs.replace(options or NO_OPTIONS, **given)
