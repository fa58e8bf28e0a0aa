"""The shape of the package: imports point down the story, pure modules stay pure, everything is documented."""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import msgspec
from support.measure_code import SourceFile

import downloadd

PACKAGE: Final = Path(downloadd.__file__).parent
README: Final = Path(__file__).parents[1] / "README.md"

LAYERS: Final = (
    "documentation",
    "man_page",
    "cli",
    "client",
    "daemon",
    "app",
    "store_choice",
    "storage_choice",
    "servers",
    "reloader",
    "gauges",
    "hooks",
    "watch",
    "fronts",
    "bulk_actions",
    "service",
    "explanation",
    "settings_service",
    "views",
    "imports",
    "schedules",
    "accounts",
    "rights",
    "download_rules",
    "manager",
    "cluster",
    "transfer",
    "origin",
    "middle",
    "verify",
    "nouns",
)
"""From the top to the bottom; each may import what is below it."""
SIBLING_PACKAGES: Final = frozenset({"policy", "storage", "records"})
"""Rooms of one height that know nothing of each other."""
NOUNS: Final = frozenset(
    {
        "aria2",
        "download",
        "download_request",
        "gid",
        "queue_move",
        "attempt_options",
        "request_fields",
        "delivery",
        "import_part",
        "states",
        "errors",
        "config",
        "clock",
        "events",
        "sizes",
        "logs",
        "metrics",
        "import_operation",
        "users",
        "user_quota",
        "local_days",
        "directory_settings",
        "name_collision",
        "node",
        "tls",
        "charsets",
        "charset_detection",
        "media_types",
        "root_identity",
        "runtime_settings",
        "stable_storage",
        "hours",
        "remote_upload",
        "instants",
        "cron",
        "schedule",
    }
)

PURE: Final = (
    *(
        "users",
        "rights",
        "download_rules",
        "root_identity",
        "runtime_settings",
        "hours",
        "instants",
        "cron",
        "schedule",
        "download",
        "download_request",
        "gid",
        "queue_move",
        "attempt_options",
        "request_fields",
        "states",
        "errors",
        "sizes",
        "directory_settings",
        "name_collision",
        "node",
        "verify",
        "import_operation",
        "charsets",
        "charset_detection",
        "media_types",
    ),
    *("config.fields", "config.conversion", "config.reference"),
    *("aria2.values", "aria2.unused", "config.aria2.syntax", "config.aria2.rule", "config.aria2.rules"),
    *("config.aria2.proxies", "config.aria2.reasons"),
    *(
        "imports.refusal",
        "imports.skipping",
        "imports.layout",
        "imports.json_array",
        "imports.json_lines",
        "imports.validation",
    ),
    *("imports.checksum_format", "imports.slack_members", "imports.url_selection"),
    *("policy.url", "policy.domains", "policy.addresses", "policy.redirects", "policy.policy", "policy.redaction"),
    "policy.ports",
    "policy.proxies",
    "policy.directories",
    *("policy.origin_proxies", "policy.environment_proxies", "policy.proxy_url"),
    *(
        "manager.limits",
        "manager.delayed_downloads",
        "manager.user_slots",
        "manager.scheduled_starts",
        "schedules.plan",
        "manager.waiting_queues",
        "manager.running_downloads",
    ),
    "manager.scheduled_starts",
    *("manager.scheduler", "manager.retry", "manager.stall_detection", "manager.lifecycle", "manager.admission"),
    "manager.amendment",
    *("cluster.lease", "cluster.shared_settings"),
    *("transfer.fields", "transfer.classification", "transfer.response_head"),
    *("transfer.progress_meter", "transfer.speed_window"),
    *("transfer.representation", "transfer.resume", "transfer.response_facts", "transfer.response_table"),
    *("transfer.samples", "transfer.probe"),
    *("origin.message_head", "origin.framing", "origin.response_parser", "origin.request_head"),
    *("origin.request_headers", "origin.challenges", "origin.authentication", "origin.exchange"),
    *("origin.cookies", "origin.cookie_dates", "origin.timeouts"),
    *("transfer.content_disposition", "transfer.encoded_words", "transfer.file_naming"),
    *("storage.names", "storage.conflicts"),
    *("storage.objects.signature", "storage.objects.messages"),
    *("storage.objects.errors", "storage.objects.location", "storage.sftp.location"),
    *("watch.candidates", "watch.outcome", "hooks.archive_names", "storage.path_template"),
    *("delivery", "hooks.rules", "hooks.signature", "hooks.outcome"),
    *("cli.formatting", "cli.links", "client.events"),
    *("fronts.rest.target", "fronts.rest.schemas", "fronts.rest.entries", "fronts.rest.query_decoding"),
    *("fronts.rest.event_types", "fronts.rocketchat.schemas", "fronts.rest.auth"),
    *("fronts.rest.request_guards", "fronts.rest.settings_schemas", "fronts.rest.node_schemas"),
    *("fronts.rocketchat.selection", "fronts.rocketchat.statuses", "fronts.rocketchat.translation"),
    *("fronts.cross_origin", "fronts.aria2.access.tokens"),
    "fronts.aria2.errors",
    *("fronts.aria2.methods.multicall", "fronts.aria2.methods.parameters", "fronts.aria2.methods.windows"),
    *("fronts.aria2.options.download_options", "fronts.aria2.options.header_lines", "fronts.aria2.options.locations"),
    *("fronts.aria2.options.option_report", "fronts.aria2.options.option_table", "fronts.aria2.options.option_values"),
    "fronts.aria2.options.options",
    "fronts.aria2.sockets.socket_limits",
    *("fronts.aria2.status.error_codes", "fronts.aria2.status.notifications", "fronts.aria2.status.interruptions"),
    "fronts.aria2.status.status",
    *("fronts.aria2.wire.envelope", "fronts.aria2.wire.json_rpc", "fronts.aria2.wire.xml_rpc"),
    "records.sqlite_errors",
)
"""Decisions apart from I/O, which must say so themselves; others may say it too."""
IMPURE: Final = frozenset({"asyncio", "aiohttp", "os", "time", "socket", "downloadd.clock"})


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One source file."""

    name: str
    """Dotted, without `downloadd.`; "" for the package itself."""
    file: SourceFile
    top_imports: Sequence[ast.AST]
    """Statements that run when the module is imported."""
    lazy_imports: Sequence[ast.AST]
    """Statements inside of functions."""

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def nodes(self) -> Sequence[ast.AST]:
        return self.file.nodes

    @property
    def full_name(self) -> str:
        return f"downloadd.{self.name}" if self.name else "downloadd"

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.file.tree) or ""


def read_module(path: Path) -> Module:
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    file = SourceFile(path, PACKAGE)
    statements = [node for node in file.nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    at_top = {id(node) for node in at_top_level(file.tree)}
    return Module(
        name=".".join(parts),
        file=file,
        top_imports=[node for node in statements if id(node) in at_top],
        lazy_imports=[node for node in statements if id(node) not in at_top],
    )


@cache
def modules() -> dict[str, Module]:
    """Return the modules of the package by their names; they are not read by workers that run no test of them."""
    return {module.name: module for module in map(read_module, sorted(PACKAGE.rglob("*.py")))}


def for_each_module(check: Callable[[Module], None]) -> Callable[[], None]:
    """Return a test of all modules. A test of each rule for each module would be a quarter of all fast tests."""

    def check_all() -> None:
        for module in modules().values():
            try:
                check(module)
            except AssertionError as error:
                error.add_note(module.full_name)
                raise

    return check_all


def imported(module: Module, node: ast.AST) -> Iterator[str]:
    """Yield the full names of the modules that a statement imports; names inside a module count as that module."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=source, names=names, level=level):
            assert level == 0, f"{module.full_name} has a relative import"
            assert source is not None
            for alias in names:
                inner = f"{source}.{alias.name}"
                yield inner if inner.removeprefix("downloadd.") in modules() and inner != source else source


def imports(module: Module, *, lazy: bool) -> set[str]:
    """Return the names that a module imports at its top level, or, if `lazy`, inside of functions."""
    statements = module.lazy_imports if lazy else module.top_imports
    return {name for node in statements for name in imported(module, node)}


def at_top_level(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_top_level(child)


def own_imports(module: Module, *, lazy: bool = False) -> set[str]:
    """Return the modules of the package that a module imports, without `downloadd.` and without the package itself."""
    return {name.removeprefix("downloadd.") for name in imports(module, lazy=lazy) if name.startswith("downloadd.")}


def layer_index(name: str) -> int:
    """Return the index of the layer that a module of the package belongs to; the top one has the lowest."""
    package_of = name.partition(".")[0]
    if package_of == "__main__":
        return -1
    if package_of in SIBLING_PACKAGES:
        return LAYERS.index("middle")
    return LAYERS.index("nouns" if package_of in NOUNS else package_of)


def package_of(name: str) -> str:
    return name.partition(".")[0]


def test_the_source_is_there() -> None:
    assert {"app", "fronts.rest.routes", "manager.manager", "transfer.attempt", "policy.url"} <= set(modules())


@for_each_module
def test_imports_point_down_the_layers(module: Module) -> None:
    if not module.name:
        assert own_imports(module) | own_imports(module, lazy=True) == set()
        return
    for lazy in (False, True):
        for name in own_imports(module, lazy=lazy):
            packages = {package_of(module.name), package_of(name)}
            same = len(packages) == 1 or packages <= NOUNS
            assert same or layer_index(name) > layer_index(module.name), f"{module.name} imports {name}"


def test_no_module_is_imported_in_a_circle() -> None:
    graph = {name: own_imports(module) & set(modules()) for name, module in modules().items()}
    assert list(TopologicalSorter(graph).static_order())


def test_only_the_composition_root_and_the_daemon_know_the_implementations_behind_the_seams() -> None:
    seams = {
        "records.sqlite": {"store_choice"},
        "records.postgres.records": {"store_choice"},
        # The dispatcher of several nodes has the scheduler of one for its own runs.
        "manager.local_dispatcher": {
            "manager.assembly",
            "manager.shared_dispatcher",
            "manager.shared_queue",
            "manager.shared_slots",
        },
        "manager.shared_dispatcher": {"manager.assembly"},
        "storage.local": {"storage_choice", "storage.routing"},
    }
    for name, module in modules().items():
        for implementation in own_imports(module) & set(seams):
            assert name in seams[implementation], f"{name} imports {implementation}"


@for_each_module
def test_the_driver_of_postgresql_is_imported_for_such_a_database_only(module: Module) -> None:
    if module.name.startswith("records.postgres"):
        return
    for lazy in (False, True):
        assert not [name for name in imports(module, lazy=lazy) if name.partition(".")[0] == "asyncpg"]
    assert not [name for name in own_imports(module) if name.startswith("records.postgres")]


@for_each_module
def test_only_the_policy_makes_allowed_urls(module: Module) -> None:
    annotations = [id(part) for each in annotations_of(module) for part in ast.walk(each)]
    uses = [
        node
        for node in module.nodes
        if (isinstance(node, ast.Name) and node.id == "AllowedUrl")
        or (isinstance(node, ast.Attribute) and node.attr == "AllowedUrl")
        if id(node) not in annotations
    ]
    assert bool(uses) == (module.name == "policy.policy")


def annotations_of(module: Module) -> Iterator[ast.AST]:
    """Yield the annotations of parameters, results and variables."""
    for node in module.nodes:
        match node:
            case ast.arg(annotation=ast.AST() as annotation) | ast.AnnAssign(annotation=annotation):
                yield annotation
            case ast.FunctionDef(returns=ast.AST() as returns) | ast.AsyncFunctionDef(returns=ast.AST() as returns):
                yield returns


CHECKED_NAMES: Final = frozenset({"SafeDirectory", "SafeName", "PartName"})
"""Types of strings that only `storage.names` makes, after a check."""


@for_each_module
def test_only_the_checks_of_names_make_a_checked_name(module: Module) -> None:
    if module.name == "storage.names":
        return
    assert not CHECKED_NAMES & called(module), module.name
    for node in module.nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"cast", "typing.cast"}:
            assert not [name for name in CHECKED_NAMES if name in ast.unparse(node)], module.name


@for_each_module
def test_each_file_name_that_storage_takes_is_checked(module: Module) -> None:
    if not module.name.startswith("storage.") or module.name == "storage.names":
        return
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for argument in (*node.args.args, *node.args.kwonlyargs):
                if argument.arg in {"filename", "final"}:
                    assert argument.annotation is not None
                    assert ast.unparse(argument.annotation) in {"SafeName", "bytes"}, node.name


def test_decisions_say_that_they_are_pure() -> None:
    assert [name for name in PURE if "Pure:" not in modules()[name].docstring] == []


@for_each_module
def test_a_pure_module_has_neither_input_and_output_nor_a_clock(module: Module) -> None:
    if "Pure:" not in module.docstring:
        return
    for lazy in (False, True):
        for each in imports(module, lazy=lazy):
            assert not {each, each.partition(".")[0]} & IMPURE, each
    assert not {"open", "print", "input"} & called(module)
    assert not [node for node in module.nodes if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


def called(module: Module) -> set[str]:
    """Return the names of the functions that are called by their bare name."""
    return {node.func.id for node in module.nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


@for_each_module
def test_no_internal_part_of_a_library_is_used(module: Module) -> None:
    assert [*module.file.private_attributes(), *module.file.internal_modules()] == []


def test_no_dependency_has_an_upper_bound() -> None:
    project = tomllib.loads((README.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for each in (*project["dependencies"], *(each for extra in extras for each in extra)):
        assert not re.search(r"<|==|~=|!=", each.partition(";")[0]), each


@for_each_module
def test_no_module_is_named_like_one_of_the_standard_library(module: Module) -> None:
    if module.path.stem not in {"__init__", "__main__"}:
        assert module.path.stem not in sys.stdlib_module_names
    if module.path.parent != PACKAGE:
        assert module.path.parent.name not in sys.stdlib_module_names


@for_each_module
def test_every_module_says_what_it_is_for(module: Module) -> None:
    assert len(module.docstring.split()) >= 3


@for_each_module
def test_no_task_is_made_without_an_owner(module: Module) -> None:
    # ruff sees `asyncio.create_task` only; a task of a loop is somebody's when its result is kept or handed on.
    for node in module.nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Attribute) and function.attr == "create_task":
                owner = ast.unparse(function.value)
                assert owner.endswith(("group", "tasks", "duties")), f"{module.name}: {ast.unparse(node)}"
