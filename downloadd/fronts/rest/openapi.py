"""The OpenAPI 3.1 document, made from the routes, the structs and the error table."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec
from aiohttp import web

from downloadd import __version__
from downloadd.errors import ERRORS, ErrorCode, Occasion, codes_at
from downloadd.fronts.rest.contract import ResponseSpec
from downloadd.fronts.rest.query_decoding import parameter_names
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import PERMISSION_MISSING, json_response
from downloadd.fronts.rest.route import Access, Route
from downloadd.fronts.rest.schemas import ErrorResponse
from downloadd.import_operation import OPERATION_ID_LENGTH
from downloadd.users import Permission

Json = dict[str, Any]
"""Part of the document."""

_SCHEMA_PATH: Final = "#/components/schemas/{name}"

_SECURITY_SCHEMES: Final[Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "userId": {"type": "apiKey", "in": "header", "name": "X-User-Id"},
    "authToken": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
}

_SECURITY: Final[list[Json]] = [{"bearer": []}, {"userId": [], "authToken": []}]

_RESPONSE_FIELDS: Final[Json] = {
    "Location": {"description": "URL of the download", "schema": {"type": "string"}},
    "Link": {"description": 'URL of the next page, as rel="next" (RFC 8288)', "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds to wait before the next request",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "WWW-Authenticate": {"description": "The authentication scheme (RFC 6750)", "schema": {"type": "string"}},
    "X-Request-Id": {"description": "Id of the request; the log has it too", "schema": {"type": "string"}},
}

_REQUEST_FIELDS: Final[Json] = {
    "Idempotency-Key": {
        "description": "A request that repeats the key within 24 hours receives the response of the first one.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "Range": {
        "description": "One range of bytes (RFC 9110, section 14); several are answered with the whole content.",
        "schema": {"type": "string", "pattern": "^bytes=([0-9]{1,19}-[0-9]{0,19}|-[0-9]{1,19})$"},
    },
    "If-Range": {"description": "Entity tag or date of the part that the client has.", "schema": {"type": "string"}},
    "If-Match": {"description": "Entity tags of which the file must have one.", "schema": {"type": "string"}},
    "If-None-Match": {"description": "Entity tags of what the client has.", "schema": {"type": "string"}},
    "If-Modified-Since": {"description": "Date of what the client has.", "schema": {"type": "string"}},
    "If-Unmodified-Since": {"description": "Date that the file must have.", "schema": {"type": "string"}},
    "Last-Event-ID": {
        "description": "Id of the last event that the client received.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]+-[0-9]+-[0-9]+$"},
    },
}


class DocumentEndpoint:
    """Endpoint of the document, which is made for the first request and kept."""

    def __init__(self) -> None:
        self._table: Sequence[Route] = ()
        self._base_path = ""

    def describe(self, table: Sequence[Route], base_path: str) -> None:
        """Set the routes that the document describes; they include that of the endpoint itself."""
        self._table = table
        self._base_path = base_path

    @cached_property
    def document(self) -> bytes:
        """The document in JSON."""
        return msgspec.json.encode(build_document(self._table, self._base_path))

    async def show(self, context: RequestContext) -> web.Response:
        """Answer `GET /api/v1/openapi.json`."""
        return json_response(self.document)


def build_document(table: Sequence[Route], base_path: str = "") -> Json:
    """Return the OpenAPI document of a table of routes below `base_path`."""
    schemas = _schemas(table)
    by_operation: dict[tuple[str, str], list[Route]] = {}
    for route in table:
        by_operation.setdefault((route.path, route.method.lower()), []).append(route)
        if route.path == "/{directory}":
            # The root is a directory too, but a path parameter cannot be empty.
            by_operation.setdefault(("/", route.method.lower()), []).append(route)
    paths: Json = {}
    for (path, method), choices in by_operation.items():
        paths.setdefault(path, {})[method] = _operation(path, choices, schemas)
        heads = [route for route in choices if route.head]
        if heads:
            paths[path]["head"] = _head_operation(path, heads, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "downloadd",
            "version": __version__,
            "description": f"One HTTP request makes the server download a file.\n\n{_error_table()}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_path or "/"}],
        "security": _SECURITY,
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY_SCHEMES, "headers": _RESPONSE_FIELDS},
    }


def _schemas(table: Sequence[Route]) -> Json:
    types: set[type[msgspec.Struct]] = {ErrorResponse}
    for route in table:
        contract = route.contract
        types.update(contract.response.types)
        types.update(kind for kind in (contract.query, contract.body, contract.result_error_type) if kind is not None)
    named = sorted(types, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(named, ref_template=_SCHEMA_PATH)
    return schemas


def _operation(path: str, choices: Sequence[Route], schemas: Json) -> Json:
    """Return one operation; several routes that a query parameter selects become one operation."""
    operation: Json = {
        "operationId": _operation_id(path, choices),
        "summary": "; ".join(route.summary for route in choices),
        "description": "\n\n".join(_description(route) for route in choices),
        "parameters": _parameters(path, choices, schemas),
        "responses": _responses(choices),
    }
    is_public = [route.access is Access.PUBLIC for route in choices]
    if all(is_public):
        operation["security"] = []
    elif any(is_public):
        operation["security"] = [*_SECURITY, {}]
    body = choices[0].contract.body
    if choices[0].contract.is_raw_body:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
    elif body is not None:
        operation["requestBody"] = {
            "required": choices[0].contract.is_body_required,
            "content": {"application/json": {"schema": _ref(body)}},
        }
    return operation


def _head_operation(path: str, choices: Sequence[Route], schemas: Json) -> Json:
    operation = _operation(path, choices, schemas)
    operation["operationId"] = f"{operation['operationId']}Head"
    for response in operation["responses"].values():
        response.pop("content", None)
    return operation


def _operation_id(path: str, choices: Sequence[Route]) -> str:
    names = "Or".join(route.summary.title().replace(" ", "").replace(",", "") for route in choices)
    suffix = "InRoot" if path == "/" else ""
    return f"{names[:1].lower()}{names[1:]}{suffix}"


def _description(route: Route) -> str:
    selection = (
        f"`{route.selector}` in the query: {route.summary[:1].lower()}{route.summary[1:]}." if route.selector else ""
    )
    if isinstance(route.access, Permission):
        requirement = f"Requires the permission `{route.access}`."
    else:
        requirement = "Requires no token." if route.access is Access.PUBLIC else "Requires a valid token."
    return f"{selection} {requirement}".strip()


def _parameters(path: str, choices: Sequence[Route], schemas: Json) -> list[Json]:
    parameters: list[Json] = []
    if "{directory}" in path:
        description = "Destination directory of any depth; slashes can be sent as %2F."
        parameters.append(_path_parameter("directory", {"type": "string", "minLength": 1}, description))
    if "{file}" in path:
        parameters.append(_path_parameter("file", {"type": "string", "minLength": 1}, "File name."))
    if "{id}" in path:
        parameters.append(_path_parameter("id", *_describe_id(choices[0])))
    by_name: dict[str, list[Json]] = {}
    for route in choices:
        contract = route.contract
        if contract.query is not None:
            schema = schemas[contract.query.__name__]
            for name in parameter_names(contract.query):
                shape = schema["properties"][name]
                required = len(choices) == 1 and name in schema.get("required", ())
                by_name.setdefault(name, []).append(_query_parameter(name, shape, required=required))
    for variants in by_name.values():
        # Routes that share a path may define a parameter of the same name differently.
        schema = _any_of(variant["schema"] for variant in variants)
        parameters.append({**variants[0], "schema": schema})
    fields = dict.fromkeys(field for route in choices for field in route.contract.headers)
    parameters.extend({"name": field, "in": "header", "required": False, **_REQUEST_FIELDS[field]} for field in fields)
    return parameters


def _describe_id(route: Route) -> tuple[Json, str]:
    """Return the schema and the description of the id in the path."""
    if route.is_of_import:
        length = {"minLength": OPERATION_ID_LENGTH, "maxLength": OPERATION_ID_LENGTH}
        return {"type": "string", **length}, "Id of the import operation."
    if route.is_of_schedule:
        return {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"}, "Name of the schedule."
    if route.is_of_user:
        return {"type": "string", "minLength": 1, "maxLength": 128}, "Id of the user."
    return {"type": "string", "format": "uuid"}, "Id of the download."


def _path_parameter(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query_parameter(name: str, shape: Json, *, required: bool) -> Json:
    # A query has no null: an optional parameter is omitted.
    choices = [choice for choice in shape.get("anyOf", ()) if choice.get("type") != "null"]
    schema = dict(choices[0]) if choices else dict(shape)
    if shape.get("default") is not None:
        schema["default"] = shape["default"]
    parameter: Json = {"name": name, "in": "query", "required": required}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if name.startswith("download") and schema.get("maxLength") == 0:
        parameter["allowEmptyValue"] = True
    return {**parameter, "schema": schema}


def _responses(choices: Sequence[Route]) -> Json:
    authenticated_routes = [route for route in choices if route.access is not Access.PUBLIC]
    responses = _success_responses(choices)
    for status, codes in sorted(_error_shapes(choices, is_authenticated=bool(authenticated_routes)).items()):
        responses[str(status)] = _error_response(status, codes)
    if authenticated_routes:
        responses["401"] = {
            "description": "`unauthorized`: the credentials are missing or wrong",
            "headers": _fields("X-Request-Id", "WWW-Authenticate"),
            "content": {"application/json": {"schema": _ref(ErrorResponse)}},
        }
    if any(isinstance(route.access, Permission) for route in authenticated_routes):
        responses["403"] = _with_missing_permission(responses.get("403"))
    return responses


def _success_responses(choices: Sequence[Route]) -> Json:
    by_status: dict[int, list[ResponseSpec]] = {}
    for route in choices:
        for response in (route.contract.response, *route.contract.other_responses):
            by_status.setdefault(response.status, []).append(response)
    return {
        str(status): {
            "description": "; ".join(dict.fromkeys(response.description for response in group)),
            "headers": _fields("X-Request-Id", *(field for response in group for field in response.headers)),
            "content": _content(group),
        }
        for status, group in by_status.items()
    }


def _error_shapes(choices: Sequence[Route], *, is_authenticated: bool) -> dict[int, dict[ErrorCode, list[Json]]]:
    """Return the shapes of the body for each code, by status."""
    shapes: dict[int, dict[ErrorCode, list[Json]]] = {}

    def add(codes: Iterable[ErrorCode], kind: type[msgspec.Struct] | None) -> None:
        for code in codes:
            shapes.setdefault(ERRORS[code].status, {}).setdefault(code, []).extend([] if kind is None else [_ref(kind)])

    for route in choices:
        add(route.contract.result_errors, route.contract.result_error_type)
        add(route.contract.errors, ErrorResponse)
    add(codes_at(Occasion.ANY_REQUEST), ErrorResponse)
    if is_authenticated:
        add(codes_at(Occasion.AUTHENTICATION), ErrorResponse)
    return shapes


def _with_missing_permission(forbidden: Json | None) -> Json:
    """Return the response 403 of an operation that requires a permission."""
    if forbidden is None:
        description, shapes = f"`{PERMISSION_MISSING}`", []
    else:
        description = f"{forbidden['description']}; `{PERMISSION_MISSING}`"
        schema = forbidden["content"]["application/json"]["schema"]
        shapes = schema.get("anyOf", [schema])
    return {
        "headers": _fields("X-Request-Id"),
        **(forbidden or {}),
        "description": description,
        "content": {"application/json": {"schema": _any_of([*shapes, _ref(ErrorResponse)])}},
    }


def _error_response(status: int, codes: dict[ErrorCode, list[Json]]) -> Json:
    fields = ["X-Request-Id"]
    if any(ERRORS[code].sends_retry_after for code in codes):
        fields.append("Retry-After")
    return {
        "description": "; ".join(f"`{code}`: {ERRORS[code].title}" for code in codes),
        "headers": _fields(*fields),
        "content": {"application/json": {"schema": _any_of([ref for refs in codes.values() for ref in refs])}},
    }


def _content(response_specs: Sequence[ResponseSpec]) -> Json:
    by_media_type: dict[str, list[Json]] = {}
    for response in response_specs:
        if not response.media_type:
            continue
        schemas = [_ref(kind) for kind in response.types]
        if not schemas:
            schemas = [{"type": "object" if response.media_type == "application/json" else "string"}]
        elif response.is_array:
            schemas = [{"type": "array", "items": _any_of(schemas)}]
        by_media_type.setdefault(response.media_type, []).extend(schemas)
    return {media_type: {"schema": _any_of(schemas)} for media_type, schemas in by_media_type.items()}


def _any_of(refs: Iterable[Json]) -> Json:
    distinct = list({str(ref): ref for ref in refs}.values())
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _ref(kind: type[msgspec.Struct]) -> Json:
    return {"$ref": _SCHEMA_PATH.format(name=kind.__name__)}


def _fields(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _error_table() -> str:
    rows = [f"| `{row.code}` | {row.status} | {row.title} | {row.resolution} |" for row in ERRORS.values()]
    return "\n".join(["| Error | Status | Meaning | What to do |", "| --- | --- | --- | --- |", *rows])
