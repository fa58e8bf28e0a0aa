"""Fields of settings: how a field is described, and what its description says.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Final, get_args

import msgspec
from msgspec import Meta, inspect

ENVIRONMENT_PREFIX: Final = "DOWNLOADD_"
"""Prefix of the daemon's environment variables: `DOWNLOADD_<TABLE>__<KEY>`."""


class Format(StrEnum):
    """Grammar of a text or of each text of a list."""

    ADDRESS = "IP address"
    BASE_PATH = "base path"
    CA_FILE = "file of certificate authorities"
    CRON = "cron expression"
    DATABASE_URL = "URL of a database"
    LISTEN_ADDRESS = "address to listen on"
    LISTEN_HOST = "host to listen on"
    PATH = "path"
    PATH_TEMPLATE = "absolute path with placeholders"
    SOCKET_PATH = "path of a Unix socket"
    USER_ID = "user id"
    DIRECTORY = "directory below the storage root"
    DIRECTORY_TEMPLATE = "directory below the storage root with placeholders"
    DOMAIN = "domain"
    EXTENSION = "extension of file names"
    ENDPOINT = "URL of a server of object storage"
    FILENAME = "name of a file"
    HOST = "host of an origin"
    HOURS = "hours of a day"
    IMPORTER = "kind of import file"
    MEDIA_RANGE = "media type or range"
    NETRC = "netrc file"
    NETWORK = "network"
    ORIGIN = "origin of web pages"
    OWNER = "owner of files"
    PORTS = "ports"
    PROXY = "trusted proxy"
    PROXY_HOSTS = "hosts of a proxy"
    PROXY_URL = "URL of a proxy"
    REMOTE_URL = "URL of a bucket or of an SFTP server"
    REGION = "region of object storage"
    TIME_ZONE = "time zone"


def describe(
    description: str,
    *,
    unit: str = "",
    examples: Sequence[Any] = (),
    expected: str = "",
    flag: str = "",
    metavar: str = "",
    former_name: str = "",
    format: Format | None = None,
    choices: Sequence[str] = (),
    choice_name: str = "",
    secret: bool = False,
) -> Meta:
    """Return the description of a field.

    Args:
        description: one sentence or more, each with its full stop; a line break stays one in the example file.
        unit: unit of the number.
        examples: values for the example file; of a list of tables, the nth table there shows the nth value.
        expected: noun phrase for error messages, where the type alone says too little.
        flag: option of the daemon's command that sets the field.
        metavar: placeholder of the option's value in `--help`.
        former_name: name of the field in the previous version, still accepted.
        format: grammar of the texts.
        choices: all texts that a list may hold.
        choice_name: noun for one of `choices`.
        secret: True if no message may repeat the value.
    """
    extra = {
        "unit": unit,
        "expected": expected,
        "flag": flag,
        "metavar": metavar,
        "former_name": former_name,
        "format": format,
        "choices": tuple(choices),
        "choice_name": choice_name,
        "secret": secret,
    }
    return Meta(
        description=description,
        examples=list(examples) or None,
        extra={name: value for name, value in extra.items() if value},
    )


Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000, extra={"unit": "seconds"})]
WholeSeconds = Annotated[int, Meta(ge=0, le=31_536_000, extra={"unit": "seconds"})]
LongSeconds = Annotated[int, Meta(ge=0, le=3_153_600_000, extra={"unit": "seconds"})]
"""Up to a century."""
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
ByteSize = Annotated[int, Meta(ge=0, le=2**62, extra={"size": True, "unit": "bytes"})]
"""Bytes; also written as a text such as "4 GiB"."""
QuotaSize = Annotated[int, Meta(ge=1, le=2**62, extra={"size": True, "unit": "bytes"})]
"""Bytes of a quota, which nothing would fit into if it was 0."""
EXPECTED_QUOTA: Final = 'a size of at least one byte, such as "50 GiB"'
Text = Annotated[str, Meta(min_length=1)]
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z"
"""Pattern of the names of proxies and hooks."""
EXPECTED_NAME: Final = "1 to 64 letters, digits, hyphens and underscores"
"""The pattern in words."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a table, as its field describes it."""

    table: str
    name: str
    type: Any
    """The annotated type."""
    default: Any
    """The default; UNSET if the key is required or has no value by default."""
    is_required: bool
    description: str
    examples: tuple[Any, ...]
    unit: str
    expected: str
    flag: str
    metavar: str
    former_name: str
    format: Format | None
    choices: tuple[str, ...]
    choice_name: str
    is_size: bool
    is_secret: bool

    @property
    def key(self) -> str:
        """The name with its table, such as `server.port`."""
        return f"{self.table}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return variable_name(self.key)

    @property
    def value_type(self) -> inspect.Type:
        """The type without its metadata."""
        info = inspect.type_info(self.type)
        while isinstance(info, inspect.Metadata):
            info = info.type
        return info


@cache
def read_settings(table: str, struct: type[msgspec.Struct]) -> Mapping[str, Setting]:
    """Return the settings of a table by name, in the order of the fields."""
    return {field.name: _read_setting(table, field) for field in msgspec.structs.fields(struct)}


def variable_name(key: str) -> str:
    """Return the environment variable of a key such as `server.port`."""
    return ENVIRONMENT_PREFIX + key.replace(".", "__").upper()


def element_type(annotation: Any) -> type[msgspec.Struct] | None:
    """Return the struct of a list of tables; None for a type that is no such list."""
    arguments = get_args(annotation)
    return arguments[0] if arguments else None


def _read_setting(table: str, field: msgspec.structs.FieldInfo) -> Setting:
    schema, extra = _read_metadata(inspect.type_info(field.type))
    return Setting(
        table=table,
        name=field.name,
        type=field.type,
        default=_default_of(field),
        is_required=field.required,
        description=str(schema.get("description", "")),
        examples=tuple(schema.get("examples", ())),
        unit=extra.get("unit", ""),
        expected=extra.get("expected", ""),
        flag=extra.get("flag", ""),
        metavar=extra.get("metavar", ""),
        former_name=extra.get("former_name", ""),
        format=extra.get("format"),
        choices=extra.get("choices", ()),
        choice_name=extra.get("choice_name", ""),
        is_size=extra.get("size", False),
        is_secret=extra.get("secret", False),
    )


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return msgspec.UNSET if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _read_metadata(info: inspect.Type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return schema and extra of all levels of a type; the outer level has precedence."""
    schema: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    while isinstance(info, inspect.Metadata):
        schema = {**(info.extra_json_schema or {}), **schema}
        extra = {**(info.extra or {}), **extra}
        info = info.type
    return schema, extra
