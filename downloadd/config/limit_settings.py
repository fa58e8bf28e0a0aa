"""Settings of `[[limits]]`, which hold in hours of the week; see `settings.py`."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from downloadd.config.fields import ByteSize, Count, Format, Text, describe
from downloadd.hours import DAYS, WHOLE_DAY


class LimitConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[limits]]`: limits on all downloads for hours of the week.

    The first table whose hours hold applies; what it does not give is as in [downloads]. See docs/how-to/limits.md.
    """

    EXAMPLES: ClassVar = (
        ("hours", "days", "time_zone", "speed_limit", "max_concurrent"),
        ("hours", "time_zone", "allow_starts"),
    )

    hours: Annotated[
        Text,
        describe(
            "Hours in which the limits hold. Those that end on the next day belong to the day on which they begin.",
            examples=["08:00-18:00", "22:00-06:00"],
            format=Format.HOURS,
        ),
    ] = WHOLE_DAY
    days: Annotated[
        tuple[str, ...],
        Meta(min_length=1),
        describe(
            "Days of the week on which the hours begin.",
            examples=[list(DAYS[:5])],
            expected="a list of days",
            choices=DAYS,
            choice_name="day",
        ),
    ] = DAYS
    time_zone: Annotated[
        Text,
        describe(
            "Time zone of the hours, by its name in the IANA database.",
            examples=["Europe/Berlin", "America/New_York"],
            format=Format.TIME_ZONE,
        ),
    ] = "UTC"
    speed_limit: Annotated[
        ByteSize | UnsetType,
        describe(
            "Speed of all downloads together; 0 for no limit.",
            unit="bytes per second",
            examples=["2 MiB"],
        ),
    ] = UNSET
    max_concurrent: Annotated[
        Count | UnsetType,
        describe("Downloads that run at once.", examples=[4], expected="an integer from 1 to 1000000000"),
    ] = UNSET
    allow_starts: Annotated[
        bool, describe("Let waiting downloads start; those that run continue in any case.", examples=[False, False])
    ] = True

    def __str__(self) -> str:
        """Return hours, days and time zone as messages show them."""
        days = "" if len(self.days) == len(DAYS) else f"{', '.join(self.days)} "
        return f"{days}{self.hours} {self.time_zone}"
