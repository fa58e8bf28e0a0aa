"""Settings of hooks: `[[hooks]]`; see `settings.py`."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from downloadd.config.fields import EXPECTED_NAME, NAME_PATTERN, ByteSize, Format, describe
from downloadd.states import FINISHED, State

HOOK_EVENTS: Final = tuple(state.value for state in State if state in FINISHED)
"""Events of a hook: the states in which a download is finished."""
SIGNING_PREFIX: Final = "whsec_"
"""Prefix of the secret of a webhook."""
SIGNING_KEY_COMMAND: Final = """printf 'whsec_%s\\n' "$(head -c 32 /dev/urandom | base64)\""""
"""Shell command that prints a new secret of a webhook."""


class HookAction(StrEnum):
    """Thing that a hook does, as the key that says so."""

    URL = "url"
    COMMAND = "command"
    EXTRACT = "extract"
    MOVE_TO = "move_to"
    NOTIFY = "notify"


class HookConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[hooks]]`: actions when a download has finished.

    A hook does one thing: it posts to a webhook, runs a program, extracts an archive, moves the file, or notifies
    people. See docs/how-to/hooks.md.
    """

    EXAMPLES: ClassVar = (
        ("name", "events", "directory", "url", "secret", "timeout"),
        ("name", "command"),
        ("name", "extract", "max_extracted_size", "remove_archive"),
        ("name", "move_to"),
        ("name", "notify"),
    )

    name: Annotated[
        str,
        Meta(pattern=NAME_PATTERN),
        describe(
            "Name in logs and metrics; pending deliveries belong to it after a restart too.",
            examples=["chat", "scan", "unpack", "archive", "phone"],
            expected=EXPECTED_NAME,
        ),
    ]
    events: Annotated[
        tuple[str, ...],
        Meta(min_length=1),
        describe(
            "Ends of a download that are notified.",
            examples=[list(HOOK_EVENTS)],
            expected="a list of events",
            choices=HOOK_EVENTS,
            choice_name="event",
        ),
    ] = ("completed", "failed")
    directory: Annotated[
        str,
        describe(
            "Only for downloads to this directory and below; * is any part of one name.",
            examples=["team/*"],
            format=Format.DIRECTORY,
        ),
    ] = ""
    url: Annotated[
        str,
        describe(
            "URL that is posted to.",
            examples=["https://chat.example.com/hooks/downloads"],
            secret=True,
        ),
    ] = ""
    secret: Annotated[
        str,
        describe(
            f"Key that signs messages to the URL. A new one: {SIGNING_KEY_COMMAND}",
            examples=["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
            secret=True,
        ),
    ] = ""
    command: Annotated[
        tuple[str, ...],
        describe(
            "Program and its arguments, run without a shell.",
            examples=[["/usr/local/bin/scan-file", "--quiet"]],
            secret=True,
        ),
    ] = ()
    extract: Annotated[
        bool,
        describe(
            "Extract a completed zip, tar, 7z or RAR archive into a directory beside it, which has its name.",
            examples=[True],
        ),
    ] = False
    max_extracted_size: Annotated[
        ByteSize, describe("Size of all files of one archive together; 0 for no limit.", examples=["64 GiB"])
    ] = 64 << 30
    remove_archive: Annotated[
        bool, describe("Remove an archive once all of its files are extracted.", examples=[False])
    ] = False
    move_to: Annotated[
        str,
        describe(
            "Directory of this machine that a completed file is moved to; {directory}, {user}, {host}, {year}, {month} "
            "and {day} are those of the download.",
            examples=["/srv/archive/{year}-{month}"],
            format=Format.PATH_TEMPLATE,
        ),
    ] = ""
    notify: Annotated[
        tuple[str, ...],
        describe(
            "URLs of Apprise (https://github.com/caronc/apprise) that are notified; needs the extra `notifications`.",
            examples=[["ntfy://ntfy.example.com/downloads"]],
            secret=True,
        ),
    ] = ()
    timeout: Annotated[
        float, Meta(ge=1, le=3600), describe("Time limit of one delivery attempt.", unit="seconds", examples=[30])
    ] = 30

    @property
    def action(self) -> HookAction | None:
        """Return what the hook does; None if it is given nothing, or more than one thing, to do."""
        given = [action for action in HookAction if getattr(self, action)]
        return given[0] if len(given) == 1 else None

    @property
    def needs_file(self) -> bool:
        """Return True if the hook uses the file of a completed download."""
        return bool(self.extract or self.move_to)

    def __repr__(self) -> str:
        """Return name and events; URL, key and arguments may hold a secret."""
        return f"HookConfig(name={self.name!r}, events={self.events!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return name and events."""
        return [("name", self.name), ("events", self.events)]
