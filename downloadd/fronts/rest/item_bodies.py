"""Bodies that take some of the parameters of a download: a probe of a URL, and a change.

The parameters are those of `DownloadItem`, with their types, limits and descriptions. Pure: no I/O and no clock.
"""

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, UnsetType
from msgspec.structs import FieldInfo

from downloadd.download_request import ChangeOptions, DownloadItem, RequestFieldParameters
from downloadd.fronts.rest.schemas import NewUrl
from downloadd.manager.protocol import DownloadChange
from downloadd.request_fields import RequestFields

PROBE_PARAMETERS: Final = ("filename", "type", *RequestFields.__struct_fields__)
"""Parameters of a download on which the answer to a probe depends."""

CHANGE_PARAMETERS: Final = tuple(ChangeOptions.__annotations__)
"""Parameters of a download that can be changed."""

_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(DownloadItem)}


def _define(name: str, doc: str, fields: Sequence[Any]) -> Any:
    """Return a struct of these fields that takes no others, and of which no log or traceback shows a secret."""
    return msgspec.defstruct(
        name,
        fields,
        module=__name__,
        namespace={
            "__doc__": doc,
            "__repr__": DownloadItem.__repr__,
            "__rich_repr__": DownloadItem.__rich_repr__,
        },
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
    )


def _as_given(field: FieldInfo) -> Any:
    """Return the definition of a field as `DownloadItem` has it."""
    if field.required:
        return field.name, field.type
    if field.default_factory is not NODEFAULT:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory)
    return field.name, field.type, msgspec.field(default=field.default)


def _as_change(name: str) -> Any:
    """Return the definition of a field that leaves the value as it is if it is omitted."""
    annotation = NewUrl if name == "url" else _FIELDS[name].type
    if get_origin(annotation) in {Union, UnionType}:
        annotation = Union[tuple(kind for kind in get_args(annotation) if kind is not NoneType)]  # noqa: UP007 - made
    return name, annotation | UnsetType, msgspec.field(default=UNSET)


# A struct has one base, and no base has some of the parameters only.
if TYPE_CHECKING:

    class ProbeBody(RequestFieldParameters, frozen=True, kw_only=True):
        """`POST /api/v1/probe`; of the parameters, it takes `PROBE_PARAMETERS` only."""

        url: str

    class AmendBody(RequestFieldParameters, frozen=True, kw_only=True):
        """`PATCH /api/v1/downloads/{id}`; of the parameters, it takes `CHANGE_PARAMETERS` only."""
else:
    ProbeBody = _define(
        "ProbeBody",
        "`POST /api/v1/probe`.",
        [_as_given(field) for name, field in _FIELDS.items() if name in {"url", *PROBE_PARAMETERS}],
    )
    AmendBody = _define(
        "AmendBody",
        "`PATCH /api/v1/downloads/{id}`: an omitted field stays as it is.",
        [_as_change(name) for name in CHANGE_PARAMETERS],
    )


def given_changes(body: AmendBody) -> dict[str, Any]:
    """Return the parameters that a change gives."""
    given = {name: getattr(body, name) for name in CHANGE_PARAMETERS}
    return {name: value for name, value in given.items() if value is not UNSET}


def make_download_change(given: Mapping[str, Any]) -> DownloadChange:
    """Return the change of a download by these parameters; one request field replaces all of them."""
    own = {name: value for name, value in given.items() if name not in RequestFields.__struct_fields__}
    fields = {name: value for name, value in given.items() if name not in own}
    return DownloadChange(**own, fields=RequestFieldParameters(**fields) if fields else None)
