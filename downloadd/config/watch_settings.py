"""Settings of watch folders: `[[watch]]`; see `settings.py`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from downloadd.config.fields import Format, Text, describe


class WatchConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[watch]]`: directories of this machine whose new files become imports. See docs/how-to/watch-folders.md."""

    path: Annotated[
        Text,
        describe("Absolute path of the directory.", examples=["/srv/incoming"], format=Format.PATH),
    ]
    user: Annotated[
        str,
        Meta(min_length=1, max_length=128),
        describe(
            "Name in the history, and in `users` of [[directories]]; not one of [[users]], whose imports would replace "
            "those of the folder.",
            examples=["watch"],
            format=Format.USER_ID,
        ),
    ] = "watch"
    importer: Annotated[
        str,
        describe(
            "Kind of the files; empty to recognize each by its name and content.",
            examples=["urls"],
            format=Format.IMPORTER,
        ),
    ] = ""
    avatars: Annotated[bool, describe("Download the avatars of users too.", examples=[True])] = False
    settle: Annotated[
        float,
        Meta(ge=0, le=3600),
        describe("Time without a change after which a file is complete.", unit="seconds", examples=[2]),
    ] = 2
