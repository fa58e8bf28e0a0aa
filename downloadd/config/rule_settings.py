"""Settings of rules for new downloads: `[[rules]]`; see `settings.py`."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from downloadd.config.fields import EXPECTED_NAME, NAME_PATTERN, ByteSize, Format, describe
from downloadd.download import Conflict


class RuleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[rules]]`: parameters of downloads that a user starts, by host, extension, directory, user, type and size.

    The first rule whose conditions are all met applies, and no other. It gives what the request leaves out. See
    docs/how-to/rules.md.
    """

    EXAMPLES: ClassVar = (
        ("name", "hosts", "extensions", "save_to", "priority", "speed_limit"),
        ("name", "directory", "users", "segments", "timeout", "max_retries", "conflict", "skip_same", "proxy"),
        ("name", "types", "min_size", "max_size", "save_to"),
    )

    name: Annotated[
        str,
        Meta(pattern=NAME_PATTERN),
        describe(
            "Name in the answers of `downloadctl explain`.",
            examples=["images", "nightly", "films"],
            expected=EXPECTED_NAME,
        ),
    ]
    hosts: Annotated[
        tuple[str, ...],
        describe(
            "Hosts of the URL, as in downloads.allowed_domains; empty for all.",
            examples=[["example.com", "*.example.com"]],
            format=Format.DOMAIN,
        ),
    ] = ()
    extensions: Annotated[
        tuple[str, ...],
        describe(
            "Extensions of the requested name or of the end of the URL; empty for all.",
            examples=[["iso", "img"]],
            format=Format.EXTENSION,
        ),
    ] = ()
    directory: Annotated[
        str,
        describe(
            "Only for requests for this directory and below; * is any part of one name.",
            examples=["", "inbox"],
            format=Format.DIRECTORY,
        ),
    ] = ""
    users: Annotated[
        tuple[str, ...], describe("Ids of users; empty for all.", examples=[[], ["d26x6zSkaPSe5gCyy"]])
    ] = ()
    types: Annotated[
        tuple[str, ...],
        describe(
            "Media types that the origin states, such as image/png or video/*; empty for all. "
            "Decided when the origin answers.",
            examples=[["video/*", "audio/*"]],
            format=Format.MEDIA_RANGE,
        ),
    ] = ()
    min_size: Annotated[
        ByteSize,
        describe(
            "Size of the file that the origin states, at least; 0 for no limit. Decided when the origin answers.",
            examples=["100 MiB"],
        ),
    ] = 0
    max_size: Annotated[
        ByteSize,
        describe(
            "Size of the file that the origin states, at most; 0 for no limit. Decided when the origin answers.",
            examples=["20 GiB"],
        ),
    ] = 0
    save_to: Annotated[
        str,
        describe(
            "Directory below the storage root; {directory} is that of the request, {host}, {user}, {year}, {month} and "
            "{day} are those of the request too. Empty for that of the request.",
            examples=["{directory}/{host}/{year}-{month}", "films/{year}"],
            format=Format.DIRECTORY_TEMPLATE,
        ),
    ] = ""
    priority: Annotated[
        Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | UnsetType,
        describe("Priority; higher starts first.", examples=[-10], expected="an integer from -1000000 to 1000000"),
    ] = UNSET
    speed_limit: Annotated[
        ByteSize | UnsetType,
        describe("Speed limit of each download, in bytes a second.", examples=["5 MiB"]),
    ] = UNSET
    segments: Annotated[
        Annotated[int, Meta(ge=1, le=16)] | UnsetType,
        describe("Parallel connections.", examples=[4], expected="an integer from 1 to 16"),
    ] = UNSET
    timeout: Annotated[
        Annotated[int, Meta(ge=0, le=31_536_000, extra={"unit": "seconds"})] | UnsetType,
        describe(
            "Time limit of the whole download; 0 for no limit.",
            unit="seconds",
            examples=[3600],
            expected="an integer from 0 to 31536000",
        ),
    ] = UNSET
    max_retries: Annotated[
        Annotated[int, Meta(ge=0, le=1000)] | UnsetType,
        describe("Failed attempts in a row.", examples=[20], expected="an integer from 0 to 1000"),
    ] = UNSET
    conflict: Annotated[
        Conflict | UnsetType,
        describe(
            "rename, overwrite, skip or error: the policy for a taken name.",
            examples=["overwrite"],
            expected="rename, overwrite, skip or error",
        ),
    ] = UNSET
    skip_same: Annotated[bool | UnsetType, describe("Keep a file of the same name and content.", examples=[True])] = (
        UNSET
    )
    proxy: Annotated[str, describe("Name of one of [[proxies]]; empty for none.", examples=["office"])] = ""

    @property
    def needs_response(self) -> bool:
        """True if only the response of the origin says if the conditions are met."""
        return bool(self.types or self.min_size or self.max_size)
