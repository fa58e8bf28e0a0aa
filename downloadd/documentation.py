"""Generator of the reference: `python -m downloadd.documentation` at the top of a checkout writes the generated pages.

The page of the API is made from the OpenAPI document, that of the settings and `config.example.toml` from the fields of
the configuration, that of the errors from their classes, those of aria2's options, events, importers and responses from
their tables, the manual pages from the texts of `--help`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from downloadd.cli.main import downloadctl
from downloadd.config.aria2.reasons import REASON_GROUPS
from downloadd.config.aria2.rules import RULES
from downloadd.config.reference import render_example, render_tables
from downloadd.daemon.main import command
from downloadd.errors import ERRORS
from downloadd.fronts.rest.event_types import EVENT_TYPES
from downloadd.fronts.rest.openapi import Json, build_document
from downloadd.fronts.rest.routes import Endpoints, build_routes
from downloadd.imports.importers import IMPORTERS
from downloadd.man_page import render_man_page
from downloadd.transfer.response_facts import Answer, Length, Version
from downloadd.transfer.response_table import ROWS
from downloadd.transfer.resume import Evidence

_GENERATED_NOTICE: Final = "<!-- Made by `python -m downloadd.documentation`; change what it is made from. -->\n"


def build_pages(document: Json) -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    return {
        "api.md": "\n".join(_render_api(document)) + "\n",
        "aria2-conf.md": "\n".join(_render_aria2_conf()) + "\n",
        "configuration.md": "\n".join(_render_configuration()) + "\n",
        "errors.md": "\n".join(_render_errors()) + "\n",
        "events.md": "\n".join(_render_events()) + "\n",
        "importers.md": "\n".join(_render_importers()) + "\n",
        "resume.md": "\n".join(_render_responses()) + "\n",
    }


def _render_api(document: Json) -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# The API\n\nEvery response has the id of its request in `X-Request-Id`."
    yield "[errors.md](errors.md) explains the error codes. `GET /api/v1/docs` shows the operations in a browser and"
    yield "sends requests."
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "head":
                yield from _render_operation(f"{method.upper()} {path}", operation)


def _render_operation(title: str, operation: Json) -> Iterator[str]:
    yield f"\n## `{title}`\n\n{operation['summary']}.\n\n{operation['description']}"
    if operation["parameters"]:
        yield "\n| parameter | in | type | description |\n| --- | --- | --- | --- |"
        for parameter in operation["parameters"]:
            name = f"`{parameter['name']}`" + (" (required)" if parameter["required"] else "")
            description = _escape_cell(parameter.get("description", ""))
            yield f"| {name} | {parameter['in']} | {_describe_type(parameter['schema'])} | {description} |"
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


def _render_aria2_conf() -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# Options of aria2.conf\n\n`downloadd --aria2-conf FILE` reads a configuration file of"
    yield "aria2. Its options become the settings below, unless the daemon's own file, a variable or a flag gives the"
    yield "setting. The daemon prints what became of each option, without secrets.\n"
    yield "| options | setting | value |\n| --- | --- | --- |"
    for rule in RULES:
        setting = f"`{rule.setting}`" if "." in rule.setting else f"`[[{rule.setting}]]`" if rule.setting else ""
        yield f"| {_join_options(rule.options)} | {setting} | {_escape_cell(rule.meaning)} |"
    yield "\nThese options are ignored:\n\n| options | why |\n| --- | --- |"
    for reason, options in REASON_GROUPS.items():
        yield f"| {_join_options(options)} | {_escape_cell(reason)} |"


def _join_options(options: Sequence[str]) -> str:
    return ", ".join(f"`{option}`" for option in options)


def _render_configuration() -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# Configuration\n"
    yield "The last one wins: the defaults, an [aria2.conf](aria2-conf.md), the file of `--config`, the environment,"
    yield "flags."
    yield from render_tables()


def _render_errors() -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# Errors, and what to do\n\n`error` in a response and in the history is one of these"
    yield "codes; `detail` is one sentence about the case."
    for code, kind in ERRORS.items():
        yield f"\n## `{code}`\n\n**{kind.title}** (HTTP {kind.status}). {kind.description}.\n\n{kind.resolution}."
        yield f"\n{kind.advice}"


def _render_events() -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# Events\n\nThe events of `GET /api/v1/events`; [Requests and answers](http.md#events)"
    yield "describes the stream.\n\n| event | data | when |\n| --- | --- | --- |"
    for row in EVENT_TYPES:
        yield f"| `{row.name}` | {_escape_cell(row.description)} | {_escape_cell(row.occasion)} |"


def _render_importers() -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# Importers\n\nThe kinds of files that can be imported;"
    yield "[Import files](../how-to/imports.md) describes the calls.\n\n| `importerKey` | name | file |"
    yield "| --- | --- | --- |"
    for importer in IMPORTERS.values():
        yield f"| `{importer.key}` | {importer.title} | {_escape_cell(importer.content)} |"


def _render_responses() -> Iterator[str]:
    yield f"{_GENERATED_NOTICE}\n# Responses of origins\n\nA response is compared with the request and with"
    yield "what is known of the bytes in the part file. The first row that applies decides; an empty cell stands for"
    yield "everything. [Resume](../explanation/resume.md) describes the evidence.\n"
    yield "| row | evidence | answer | version | length | coding | media type | decision | reason |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in ROWS:
        cells = (
            row.name,
            _join_values(row.evidence, tuple(Evidence)),
            _join_values(row.answer, tuple(Answer)),
            _join_values(row.version, tuple(Version)),
            _join_values(row.length, tuple(Length)),
            "another" if row.has_other_coding else "",
            "another" if row.has_other_media_type else "",
            row.outcome.value,
            row.reason,
        )
        yield "| " + " | ".join(map(_escape_cell, cells)) + " |"


def _join_values(values: frozenset[Any] | None, order: Sequence[Any]) -> str:
    if values is None:
        return ""
    everything = ["none: everything is requested"] if None in values else []
    return "; ".join([*everything, *(str(each) for each in order if each in values)])


def _escape_cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


class _EndpointStub:
    """Stand-in for every handler of a route; none is called."""

    def __getattr__(self, name: str) -> Any:
        return self


def build_man_pages() -> dict[str, str]:
    """Return the text of each manual page by its file name."""
    return {
        "downloadctl.1": render_man_page(downloadctl, "downloadctl", see_also=".BR downloadd (1)"),
        "downloadd.1": render_man_page(command, "downloadd", see_also=".BR downloadctl (1)"),
    }


def main() -> None:
    """Write `config.example.toml`, the pages of `docs/reference` and `docs/man` into the current directory."""
    document = build_document(build_routes(cast(Endpoints, _EndpointStub())))
    for name, text in build_pages(document).items():
        Path("docs/reference", name).write_text(text, encoding="utf-8")
    for name, text in build_man_pages().items():
        Path("docs/man", name).write_text(text, encoding="utf-8")
    Path("config.example.toml").write_text(render_example(), encoding="utf-8")


if __name__ == "__main__":
    main()
