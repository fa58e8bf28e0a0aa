"""Sources of the configuration: TOML files, environment variables and flags, to values with their source."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from re import compile as compile_pattern
from typing import Any, Final

import msgspec

from downloadd.config import conversion
from downloadd.config.fields import ENVIRONMENT_PREFIX, Setting, element_type, read_settings, variable_name
from downloadd.config.settings import Config

TABLES: Final[Mapping[str, type[msgspec.Struct]]] = {
    field.name: field.type for field in msgspec.structs.fields(Config) if element_type(field.type) is None
}
"""Tables of the configuration, such as `[server]`."""
LISTS: Final[Mapping[str, type[msgspec.Struct]]] = {
    field.name: struct for field in msgspec.structs.fields(Config) if (struct := element_type(field.type)) is not None
}
"""Lists of tables, such as `[[users]]`."""
SECRET_LISTS: Final = frozenset({"credentials", "proxies", "users", "hooks", "storages"})
"""Lists that may stand in the systemd credential."""
USER_FILE_NAME: Final = "users.toml"
"""File in the state directory with further `[[users]]`, which `downloadctl users` writes."""
CLIENT_VARIABLES: Final = frozenset({"DOWNLOADD_URL", "DOWNLOADD_TOKEN", "DOWNLOADD_CA_FILE"})
"""Variables of `downloadctl`, which the daemon ignores."""

_SERVICE_LINK: Final = compile_pattern(
    r"DOWNLOADD_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT|PORT_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)"
)
"""Variables that Kubernetes sets in every container for a service whose name begins with `downloadd`."""
_SERVICE_ADDRESS: Final = compile_pattern(r"(?:tcp|udp|sctp)://\S+")
_TOML_POSITION: Final = compile_pattern(r" \(at line (\d+), column (\d+)\)$")


class ConfigIssue(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in the configuration."""

    source: str
    """The file, the environment variable or the flag."""
    key: str
    """`<table>.<key>`; empty if the issue concerns the source as a whole."""
    problem: str
    """The mistake and its correction; holds no secret."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.key, self.problem) if part)


class RenamedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that was given by its former name."""

    source: str
    former: str
    current: str

    def __str__(self) -> str:
        return f"{self.former} is now {self.current}; the old name works in this version"


class SourcedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A converted value with its source."""

    value: Any
    source: str
    key: str
    """The key as the source writes it, for messages."""


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """Settings from the command line, each named like its flag; None, False or empty if it is not given."""

    allow_download: bool = False
    root: str | None = None
    host: str | None = None
    port: int | None = None
    allow_domain: tuple[str, ...] = ()
    state_dir: str | None = None


class ConfigValues:
    """Values of all sources read so far, and the issues found in them."""

    def __init__(self) -> None:
        self.issues: list[ConfigIssue] = []
        self.renamed: list[RenamedSetting] = []
        self.files: list[Path] = []
        self.lists: dict[str, list[SourcedValue]] = {name: [] for name in LISTS}
        self._values: dict[tuple[str, str], SourcedValue] = {}

    def add_issue(self, source: str, key: str, problem: str) -> None:
        """Record a mistake."""
        self.issues.append(ConfigIssue(source=source, key=key, problem=problem))

    def find(self, table: str, name: str) -> SourcedValue | None:
        """Return the value of a setting; None if no source gives it."""
        return self._values.get((table, name))

    def get(self, table: str, name: str, default: Any) -> Any:
        """Return the bare value of a setting, or `default` if no source gives it."""
        given = self.find(table, name)
        return default if given is None else given.value

    def set(self, table: str, name: str, value: SourcedValue) -> None:
        """Set the value of a setting; it replaces an earlier one."""
        self._values[table, name] = value

    def table(self, table: str) -> dict[str, Any]:
        """Return the bare values of a table."""
        return {name: given.value for (of, name), given in self._values.items() if of == table}


def iter_settings() -> Iterator[Setting]:
    """Yield the settings of all tables that are not lists."""
    for table, struct in TABLES.items():
        yield from read_settings(table, struct).values()


def read_file(values: ConfigValues, file: Path) -> None:
    """Read a TOML file. Blocks."""
    source = str(file)
    for name, content in _read_toml(values, file).items():
        if name in LISTS:
            _set_list(values, name, content, source)
        elif name in TABLES:
            _set_table(values, name, content, source)
        else:
            tables = conversion.map_to_themselves((*TABLES, *LISTS))
            values.add_issue(source, name, conversion.describe_unknown(name, tables, _qualified_names()))


def read_credential(values: ConfigValues, file: Path) -> None:
    """Read the systemd credential, if it exists; its lists are added to those of other sources. Blocks.

    A database that it names replaces that of other sources.
    """
    if not file.exists():
        return
    for name, content in _read_toml(values, file).items():
        if name in SECRET_LISTS:
            _set_list(values, name, content, str(file))
        elif name == "cluster" and isinstance(content, dict) and content.keys() <= {"database"}:
            _set_table(values, name, content, str(file))
        else:
            problem = (
                "only [[credentials]], [[proxies]], [[users]], [[hooks]] and database of [cluster] may be in a systemd "
                "credential"
            )
            values.add_issue(str(file), name, problem)


def read_user_file(values: ConfigValues, file: Path) -> None:
    """Read a file that has users only, if it exists. Blocks."""
    if not file.exists():
        return
    for name, content in _read_toml(values, file).items():
        if name == "users":
            _set_list(values, name, content, str(file))
        else:
            values.add_issue(str(file), name, "only [[users]] may be in this file")


def read_environment(values: ConfigValues, environment: Mapping[str, str]) -> None:
    """Read the variables that begin with `DOWNLOADD_`; a list replaces that of the file."""
    settings = {
        variable_name(f"{setting.table}.{name}"): (setting, name)
        for setting in iter_settings()
        for name in (setting.name, setting.former_name)
        if name
    }
    lists = {variable_name(name): name for name in LISTS}
    given: dict[str, str] = {}
    for variable in sorted(environment):
        text = environment[variable]
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in CLIENT_VARIABLES:
            continue
        if _is_service_link(variable, text):
            continue
        if variable in settings:
            setting, name = settings[variable]
            if _is_first_name(values, setting, variable, setting.variable, variable, given):
                _set_text(values, setting, f"{setting.table}.{name}", text, variable)
        elif variable in lists:
            _set_json_list(values, lists[variable], text, variable)
        else:
            current = [*(setting.variable for setting in iter_settings()), *lists]
            words = {known.removeprefix(ENVIRONMENT_PREFIX): known for known in current}
            word = variable.removeprefix(ENVIRONMENT_PREFIX)
            values.add_issue(variable, "", conversion.describe_unknown(word, words, kind="variable"))


def read_flags(values: ConfigValues, flags: Flags) -> None:
    """Read the flags that are given."""
    for setting in iter_settings():
        if setting.flag:
            value = getattr(flags, setting.flag.removeprefix("--").replace("-", "_"))
            if value is not None and value is not False and value != ():
                set_value(
                    values, setting, setting.key, list(value) if isinstance(value, tuple) else value, setting.flag
                )


def set_value(values: ConfigValues, setting: Setting, key: str, value: object, source: str) -> None:
    """Convert a value and set it; report one that the setting does not accept. `key` is its name in the source."""
    try:
        converted = conversion.convert(setting, value)
    except ValueError as error:
        values.add_issue(source, key, str(error))
    else:
        values.set(setting.table, setting.name, SourcedValue(value=converted, source=source, key=key))


def add_item(values: ConfigValues, name: str, item: Mapping[str, object], key: str, source: str) -> None:
    """Convert a table and add it to a list; report what its settings do not accept. `key` is its name in the source."""
    found = len(values.issues)
    fields = _convert_item(values, name, item, key, source)
    if len(values.issues) == found:
        values.lists[name].append(SourcedValue(value=LISTS[name](**fields), source=source, key=key))


def _is_service_link(variable: str, text: str) -> bool:
    """Return True for a variable of Kubernetes; `DOWNLOADD_PORT=9000` is a mistake of the user and none."""
    if not _SERVICE_LINK.fullmatch(variable):
        return False
    return not variable.endswith("_PORT") or "SERVICE_PORT" in variable or bool(_SERVICE_ADDRESS.fullmatch(text))


def _set_table(values: ConfigValues, table: str, content: object, source: str) -> None:
    if not isinstance(content, dict):
        values.add_issue(source, table, f"expected a table: write [{table}] and its keys below it")
        return
    settings = read_settings(table, TABLES[table])
    by_any_name = {**{each.former_name: each for each in settings.values() if each.former_name}, **settings}
    given: dict[str, str] = {}
    for name, value in content.items():
        key = f"{table}.{name}"
        if name not in by_any_name:
            names = {each: f"{table}.{each}" for each in settings}
            values.add_issue(source, key, conversion.describe_unknown(name, names, _qualified_names()))
        elif _is_first_name(values, by_any_name[name], key, by_any_name[name].key, source, given):
            set_value(values, by_any_name[name], key, value, source)


def _is_first_name(
    values: ConfigValues, setting: Setting, name: str, current: str, source: str, given: dict[str, str]
) -> bool:
    """Return True unless the source gives the setting by its other name too; record a former name.

    `given` holds the names that the source has used so far, by the current name.
    """
    if current in given:
        former = name if given[current] == current else given[current]
        values.add_issue(source, setting.key, f"is given as {former} and as {current}; remove {former}, the old name")
        return False
    given[current] = name
    if name != current:
        values.renamed.append(RenamedSetting(source=source, former=name, current=current))
    return True


def _set_text(values: ConfigValues, setting: Setting, key: str, text: str, source: str) -> None:
    try:
        value = conversion.parse_text(setting, text)
    except ValueError as error:
        values.add_issue(source, key, str(error))
    else:
        set_value(values, setting, key, value, source)


def _set_json_list(values: ConfigValues, name: str, text: str, source: str) -> None:
    try:
        content = conversion.parse_json_list(text)
    except ValueError as error:
        values.add_issue(source, name, str(error))
    else:
        values.lists[name] = []
        _set_list(values, name, content, source)


def _set_list(values: ConfigValues, name: str, content: object, source: str) -> None:
    if not isinstance(content, list):
        values.add_issue(source, name, f"expected a list of tables: write [[{name}]]")
        return
    for index, item in enumerate(content):
        key = f"{name}[{index}]"
        if not isinstance(item, dict):
            values.add_issue(source, key, f"expected a table: write [[{name}]] and its keys below it")
            continue
        add_item(values, name, item, key, source)


def _convert_item(
    values: ConfigValues, name: str, item: Mapping[str, object], key: str, source: str
) -> dict[str, object]:
    settings = read_settings(name, LISTS[name])
    fields: dict[str, object] = {}
    for field, value in item.items():
        if field not in settings:
            problem = conversion.describe_unknown(field, conversion.map_to_themselves(settings))
            values.add_issue(source, f"{key}.{field}", problem)
            continue
        try:
            fields[field] = conversion.convert(settings[field], value)
        except ValueError as error:
            values.add_issue(source, f"{key}.{field}", str(error))
            continue
        for problem in conversion.check_choices(settings[field], fields[field]):
            values.add_issue(source, f"{key}.{field}", problem)
    for setting in settings.values():
        if setting.is_required and setting.name not in item:
            values.add_issue(source, f"{key}.{setting.name}", "is missing")
    return fields


def _read_toml(values: ConfigValues, file: Path) -> dict[str, Any]:
    values.files.append(file)
    try:
        return tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        values.add_issue(str(file), "", f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        values.add_issue(str(file), "", f"is not TOML: byte {error.start} is not UTF-8")
    except tomllib.TOMLDecodeError as error:
        place = _TOML_POSITION.search(str(error))
        source = f"{file}:{place[1]}:{place[2]}" if place else str(file)
        values.add_issue(source, "", f"is not TOML: {_TOML_POSITION.sub('', str(error))}")
    except RecursionError:
        values.add_issue(str(file), "", "cannot be read: it is nested too deeply")
    return {}


def _qualified_names() -> dict[str, str]:
    """Return the key of each setting by its name; of a name in several tables, that in the first one."""
    return {setting.name: setting.key for setting in reversed(tuple(iter_settings()))}
