"""Settings of `[[schedules]]`, which fetch a URL again and again; see `settings.py`."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from downloadd.config.fields import Format, Text, describe
from downloadd.schedule import MAX_KEPT_VERSIONS, SCHEDULE_NAME_PATTERN


class ScheduleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[schedules]]`: URLs that are fetched again and again, if they have changed.

    See docs/how-to/schedules.md.
    """

    EXAMPLES: ClassVar = (("name", "cron", "time_zone", "url", "directory", "filename", "keep", "user", "paused"),)

    name: Annotated[
        str,
        Meta(pattern=SCHEDULE_NAME_PATTERN),
        describe(
            "Name in lists and logs; the outcomes of its runs belong to it after a restart too.",
            examples=["prices"],
            expected="1 to 64 letters, digits, hyphens and underscores",
        ),
    ]
    cron: Annotated[
        Text,
        describe(
            "Minute, hour, day of the month, month and day of the week, as in crontab(5).",
            examples=["30 2 * * mon-fri"],
            format=Format.CRON,
        ),
    ]
    time_zone: Annotated[
        Text,
        describe(
            "Time zone of these, by its name in the IANA database.",
            examples=["Europe/Berlin"],
            format=Format.TIME_ZONE,
        ),
    ] = "UTC"
    url: Annotated[Text, describe("URL to fetch.", examples=["https://files.example.com/prices.csv"], secret=True)]
    directory: Annotated[
        str, describe("Directory below the storage root.", examples=["team/prices"], format=Format.DIRECTORY)
    ] = ""
    filename: Annotated[
        str,
        describe(
            "Name of the file; that of the URL if it is left out.", examples=["prices.csv"], format=Format.FILENAME
        ),
    ] = ""
    keep: Annotated[
        int,
        Meta(ge=1, le=MAX_KEPT_VERSIONS),
        describe(
            "Versions of the file that stay. With 1, a new version replaces the file; with more, each has the time of "
            "its run in its name, and older ones are removed.",
            examples=[7],
        ),
    ] = 1
    user: Annotated[
        str,
        describe(
            "User whose rights its runs have; the first one if it is left out.",
            examples=["d26x6zSkaPSe5gCyy"],
            format=Format.USER_ID,
        ),
    ] = ""
    paused: Annotated[bool, describe("Start no runs.", examples=[False])] = False

    def __repr__(self) -> str:
        """Return name and times; the URL may hold a secret."""
        return f"ScheduleConfig(name={self.name!r}, cron={self.cron!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return name and times."""
        return [("name", self.name), ("cron", self.cron)]
