"""Generator of documentation: `python -m downloadd.documentation` at the top of a checkout.

The page of the API is made from the OpenAPI document, that of the settings and `config.example.toml` from the fields of
the configuration, that of the errors from the error table and the advice below.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from downloadd.config.reference import render_example, render_tables
from downloadd.errors import ERRORS, ErrorCode
from downloadd.fronts.rest.openapi import Json, build_document
from downloadd.fronts.rest.routes import Endpoints, build_routes

_GENERATED_NOTICE: Final = "<!-- Made by `python -m downloadd.documentation`; change what it is made from. -->\n"

ADVICE: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.INVALID_URL: "Percent-encode the whole URL when it stands in a query: `curl -G --data-urlencode "
    "download=…`.",
    ErrorCode.DOMAIN_BLOCKED: "`detail` names the host or address. Private addresses are open only when they are in "
    "`downloads.allowed_networks`, hosts when they match `downloads.allowed_domains`, ports by "
    "`downloads.allowed_ports`.",
    ErrorCode.DOWNLOAD_TIMEOUT: "`timeout=0` in the request takes the limit away; what has come stays for `retry`.",
    ErrorCode.REMOTE_FILE_NOT_FOUND: "A signed link may have expired: `PATCH` the download with a new `url`.",
    ErrorCode.NETWORK_ERROR: "`detail` has the reason of the last attempt: name, connection, TLS or a cut. All "
    "attempts "
    "of `downloads.max_retries` are spent; `retry` starts anew.",
    ErrorCode.DOWNLOAD_FORBIDDEN: "Start the daemon with `--allow-download`, or set `downloads.enabled = true`.",
    ErrorCode.REMOTE_ERROR: "`detail` has the origin's status. 401 and 403 want credentials: see `[[credentials]]`.",
    ErrorCode.TOO_MANY_REDIRECTS: "Often a login page that sends in circles: the origin wants credentials.",
    ErrorCode.INVALID_PARAMETER: "`detail` names the parameter, and what it may be.",
    ErrorCode.INVALID_PATH: "Leave out `..`, control characters and names that begin like part files.",
    ErrorCode.FILE_EXISTS: "It is what `conflict=error` asks for; `rename`, `overwrite` and `skip` do something else.",
    ErrorCode.FILE_TOO_LARGE: "The limit is `downloads.max_size`.",
    ErrorCode.INSUFFICIENT_STORAGE: "`df` tells what is free; `storage.min_free` stays free always, and a "
    "directory may "
    "have a `quota`.",
    ErrorCode.STORAGE_ERROR: "The log has the system's own words: permissions, a read-only disk, a broken one. A "
    "storage root that is gone (unmounted, moved, removed) is waited for; put it back, and everything goes on.",
    ErrorCode.STORE_UNAVAILABLE: "Ask again after `Retry-After`: another program holds a lock on `records.db`, the "
    "state directory was moved away, or its disk refuses writes; `detail` says which. Accepted downloads wait for it.",
    ErrorCode.CHECKSUM_MISMATCH: "`detail` has the checksum that the bytes have. No file is left behind.",
    ErrorCode.UNEXPECTED_CONTENT: "Open the URL in a browser: often a login or error page came in the file's place.",
    ErrorCode.QUEUE_FULL: "Wait as long as `Retry-After` says. The limit is `downloads.max_queued`.",
    ErrorCode.CANCELLED: "Somebody cancelled it; `retry` starts it anew.",
    ErrorCode.NOT_FOUND: "With `server.base_path` set, every path is below it.",
    ErrorCode.METHOD_NOT_ALLOWED: "`Allow` in the answer lists the methods.",
    ErrorCode.INVALID_STATE: "Look at `status` first: what has ended cannot be paused, what runs cannot be resumed.",
    ErrorCode.IDEMPOTENCY_KEY_REUSED: "Use a new key for a new request; a UUID for each is a good habit.",
    ErrorCode.BODY_TOO_LARGE: "Split a batch, or upload a big import file raw with `POST /api/v1/imports`.",
    ErrorCode.BODY_TOO_SLOW: "A body is waited for 60 s, and a second more for every KiB that comes; then the "
    "connection is closed.",
    ErrorCode.SHUTTING_DOWN: "The daemon restarts; ask again after `Retry-After`. Accepted downloads go on by "
    "themselves.",
    ErrorCode.CROSS_SITE_REQUEST: "Pages of other sites may not call. Behind a proxy, check that it is in "
    "`server.trusted_proxies` and sets `Host` or `X-Forwarded-Host`.",
    ErrorCode.HOST_NOT_ALLOWED: "Add the name that clients call to `server.allowed_hosts`, and let the "
    "proxy pass it on.",
    ErrorCode.TOO_MANY_FAILED_LOGINS: "If it hits everybody behind a proxy, the proxy is not in "
    "`server.trusted_proxies`.",
    ErrorCode.HTTP_VERSION_NOT_SUPPORTED: "curl has `--http1.1`. Behind a proxy, let it speak HTTP/1.1 to the daemon.",
    ErrorCode.INTERNAL_ERROR: "A defect: report it with the log line that has the answer's `request_id`.",
}
"""What helps besides the resolution of the error table."""


def build_pages(document: Json) -> dict[str, str]:
    """Each generated page by its name."""
    return {
        "api.md": "\n".join(_render_api(document)) + "\n",
        "configuration.md": "\n".join(_render_configuration()) + "\n",
        "errors.md": "\n".join(_render_errors()) + "\n",
    }


def _render_api(document: Json) -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# The API\n\nEvery answer names its request in `X-Request-Id`. What the error codes mean is in "
    yield "[errors.md](errors.md); `GET /api/v1/docs` shows this in a browser and tries it."
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "head":
                yield from _render_operation(f"{method.upper()} {path}", operation)


def _render_operation(title: str, operation: Json) -> Iterator[str]:
    yield f"\n## `{title}`\n\n{operation['summary']}.\n\n{operation['description']}"
    if operation["parameters"]:
        yield "\n| parameter | in | type | description |\n| --- | --- | --- | --- |"
        for one in operation["parameters"]:
            name = f"`{one['name']}`" + (" (required)" if one["required"] else "")
            yield f"| {name} | {one['in']} | {_describe_type(one['schema'])} | {_escape_cell(one.get('description', ''))} |"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"\nTakes `{media_type}`: {_describe_type(content['schema'])}."
    yield "\n| status | meaning |\n| --- | --- |"
    for status, response in sorted(operation["responses"].items()):
        yield f"| {status} | {_escape_cell(response['description'])} |"


def _describe_type(schema: Json) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_describe_type(each) for each in schema["anyOf"]))
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"] if each is not None)
    limits = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    default = f"default {schema['default']}" if "default" in schema else ""
    return ", ".join(part for part in (str(schema.get("type", "bytes")), " ".join(limits), default) if part)


def _render_configuration() -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# Configuration\n"
    yield "The last one wins: the defaults, the file of `--config`, the environment, flags."
    yield from render_tables()


def _render_errors() -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# Errors, and what to do\n\n`error` in an answer and in the history is one of these;"
    yield "`detail` is one sentence about the case."
    for row in ERRORS.values():
        yield f"\n## `{row.code}`\n\n**{row.title}** (HTTP {row.status}). {row.description}.\n\n{row.resolution}."
        yield f"\n{ADVICE[row.code]}"


def _escape_cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


class _EndpointStub:
    """Stands for every part that a route leads to; none is asked."""

    def __getattr__(self, name: str) -> Any:
        return self


def main() -> None:
    """Write `config.example.toml` and the pages of `docs/reference` into the current directory."""
    document = build_document(build_routes(cast(Endpoints, _EndpointStub())))
    for name, text in build_pages(document).items():
        Path("docs/reference", name).write_text(text, encoding="utf-8")
    Path("config.example.toml").write_text(render_example(), encoding="utf-8")


if __name__ == "__main__":
    main()
