"""`explain`: what would become of a download, before it starts, without asking its origin."""

from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec
from rich.table import Table

from downloadd.cli import formatting
from downloadd.cli.request_options import pop_request_fields, request_options
from downloadd.cli.struct_options import given_values, struct_options
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import AppliedQuota, BatchItem, Client, ConditionalOutcome, ExplainResponse
from downloadd.request_fields import RequestFields

_OTHER_OPTIONS: Final = frozenset({"url", "mirrors", "directory", "position", *RequestFields.__struct_fields__})
"""Fields that are an argument, have options of their own, or do not concern the answer."""


@click.command()
@click.argument("url", metavar="URL")
@click.option("-d", "--dir", "directory", default="", help="Directory below the storage root.")
@struct_options(BatchItem, exclude=_OTHER_OPTIONS)
@request_options
@daemon_command
async def explain(client: Client, terminal: Terminal, /, *, url: str, directory: str, **parameters: Any) -> None:
    """Show what would become of a download and why: policy, rule, directory, limits, hooks. The origin is not asked.

    \b
    Examples:
      downloadctl explain https://www.rfc-editor.org/rfc/rfc9110.txt
      downloadctl explain --dir inbox https://files.example.com/image.iso
    """
    fields = pop_request_fields(parameters, [url])
    item = msgspec.convert({"url": url, "directory": directory, **given_values(parameters), **fields}, BatchItem)
    found = await client.files.downloads.explain(item)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in list_decisions(found):
        table.add_row(name, formatting.replace_unprintable(value))
    terminal.write_result(found, table)


def list_decisions(found: ExplainResponse) -> list[tuple[str, str]]:
    """Return name and value of each decision that is not the usual one."""
    proxy = "that of the environment" if found.proxy == "" else found.proxy
    rows = [
        ("accepted", "yes" if found.allowed else f"no: {found.error}: {found.detail or ''}"),
        ("rule", f"{found.rule or 'none'}{', unless its answer meets a condition' if found.alternatives else ''}"),
        *((f"if {each.rule}", _describe_outcome(each)) for each in found.alternatives),
        ("file", found.file_path),
        ("if it exists", _describe_conflict(found)),
        ("priority", str(found.priority or "")),
        ("speed limit", f"{formatting.format_size(found.speed_limit)}/s" if found.speed_limit else ""),
        ("connections", str(found.segments)),
        ("time limit", f"{found.timeout} s" if found.timeout else "none"),
        ("retries", "" if found.max_retries is None else str(found.max_retries)),
        ("proxy", proxy or ""),
        ("login", "from the configuration" if found.credentials else ""),
        ("at once", f"{found.max_per_host} from its host, {found.max_concurrent} in all"),
        ("quota", _describe_quotas(found.quotas)),
        ("hooks", ", ".join(found.hooks)),
    ]
    return [(name, value) for name, value in rows if value]


def _describe_outcome(outcome: ConditionalOutcome) -> str:
    """Return the conditions of a rule, and what it gives."""
    conditions = [
        " or ".join(outcome.types),
        f"at least {formatting.format_size(outcome.min_size)}" if outcome.min_size else "",
        f"at most {formatting.format_size(outcome.max_size)}" if outcome.max_size else "",
    ]
    values = [
        outcome.file_path,
        f"priority {outcome.priority}" if outcome.priority else "",
        f"{formatting.format_size(outcome.speed_limit)}/s" if outcome.speed_limit else "",
        f"{outcome.segments} connections" if outcome.segments > 1 else "",
        "" if outcome.max_retries is None else f"{outcome.max_retries} retries",
        f"if it exists: {_describe_conflict(outcome)}",
        f"quota: {_describe_quotas(outcome.quotas)}" if outcome.quotas else "",
        f"hooks: {', '.join(outcome.hooks)}" if outcome.hooks else "",
    ]
    return f"{', '.join(filter(None, conditions))}: {'; '.join(filter(None, values))}"


def _describe_conflict(found: ExplainResponse | ConditionalOutcome) -> str:
    return f"keep the same content, else {found.conflict}" if found.skip_same else found.conflict.value


def _describe_quotas(quotas: Sequence[AppliedQuota]) -> str:
    return ", ".join(
        f"{formatting.format_size(each.limit)} in {each.directory or 'the storage root'}" for each in quotas
    )
