"""Values of flags that people write in more ways than one."""

from typing import Any, Final

import click

from downloadd.sizes import parse_size


class Size(click.ParamType[int]):
    """Bytes, such as `10 MiB`."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes that are meant."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE: Final = Size()
