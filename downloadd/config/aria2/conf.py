"""An `aria2.conf` as the weakest source of the configuration, with a report of what became of each option."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from downloadd.config.aria2.reasons import REASONS
from downloadd.config.aria2.rule import Conf, Derived, OptionError, Rule, Unused
from downloadd.config.aria2.rules import RULES
from downloadd.config.aria2.syntax import ConfOption, parse_options
from downloadd.config.fields import Setting, read_settings, variable_name
from downloadd.config.sources import LISTS, TABLES, ConfigIssue, ConfigValues, add_item, set_value
from downloadd.sizes import format_size

MAX_CONF_BYTES: Final = 1 << 20
"""Bytes of the longest file that is read."""

_CUMULATIVE: Final = frozenset({"header", "index-out"})
"""Options that may be given several times."""
_IDENTITIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"users": ("id", "token_hash"), "proxies": ("name",), "directories": ("path",)}
)
"""Fields that are unique in a list, by the name of the list."""


class OptionOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of an option; holds no secret. One that becomes several settings has several."""

    line: int
    option: str
    """"" if the line is not an option."""
    setting: str = ""
    """The setting that it becomes; "" if it is ignored."""
    value: str = ""
    """Value of the setting, as TOML writes it."""
    note: str = ""
    """Reason why it is ignored, or a remark on the value."""


class _Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes of the options of a rule."""

    setting: str = ""
    value: str = ""
    note: str = ""
    is_minor: bool = False
    """True if the report leaves it out for an option with another effect."""


def read_aria2_conf(values: ConfigValues, file: Path, environment: Mapping[str, str]) -> tuple[OptionOutcome, ...]:
    """Add the settings of a file that no other source gives, and return what became of each option. Blocks.

    Args:
        values: the values of all other sources.
        file: the file.
        environment: all variables of the process, which may name the home directory, or replace lists.
    """
    options = parse_options(_read(values, file))
    # The last one has precedence, as in aria2.
    last = {option.name: option for option in options}
    conf = Conf(last, environment.get("HOME", ""))
    effects: dict[str, list[_Effect]] = {}
    for rule in RULES:
        given = [name for name in rule.options if conf.line(name)]
        effect = _apply(values, rule, conf, file, given[0], environment) if given else None
        if effect is not None:
            for name in given:
                effects.setdefault(name, []).append(effect)
    return tuple([outcome for option in options for outcome in _describe(option, last, effects)])


def format_outcomes(file: Path, outcomes: Iterable[OptionOutcome]) -> str:
    """Return a table of the options of a file, for people."""
    rows = [(str(each.line), each.option or "-", _sentence(each)) for each in outcomes]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"  {line:>{widths[0]}}  {option:<{widths[1]}}  {text}" for line, option, text in rows]
    return "\n".join([f"What became of the options in {file}, by their lines:", "", *lines, ""])


def _sentence(outcome: OptionOutcome) -> str:
    if not outcome.setting:
        return f"ignored: {outcome.note}"
    return f"{outcome.setting} = {outcome.value}" + (f" ({outcome.note})" if outcome.note else "")


def _read(values: ConfigValues, file: Path) -> str:
    values.files.append(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_CONF_BYTES + 1)
    except OSError as error:
        values.add_issue(str(file), "", f"cannot be read: {error.strerror or error}")
        return ""
    if len(content) > MAX_CONF_BYTES:
        values.add_issue(str(file), "", f"is longer than {MAX_CONF_BYTES >> 20} MiB, so it is not an aria2.conf")
        return ""
    # A path may have any bytes.
    return content.decode("utf-8", "surrogateescape")


def _apply(
    values: ConfigValues, rule: Rule, conf: Conf, file: Path, option: str, environment: Mapping[str, str]
) -> _Effect | None:
    """Set what a rule derives; return None if the options do not concern it, or have a wrong value.

    `option` is the one that messages about the value name.
    """
    try:
        derived = rule.derive(conf)
    except OptionError as error:
        issue = ConfigIssue(source=f"{file}:{conf.line(error.option)}", key=error.option, problem=str(error))
        if issue not in values.issues:
            values.issues.append(issue)
        return None
    if derived is None or isinstance(derived, Unused):
        return None if derived is None else _Effect(note=derived.reason, is_minor=True)
    found, source = len(values.issues), f"{file}:{conf.line(option)}"
    if rule.setting in LISTS:
        effect = _add_item(values, rule.setting, derived, source, option, environment)
    else:
        effect = _set(values, rule, derived, source, option)
    return effect if len(values.issues) == found else None


def _set(values: ConfigValues, rule: Rule, derived: Derived, source: str, option: str) -> _Effect:
    for key in (rule.setting, *rule.replaced_by):
        given = values.find(*key.split("."))
        if given is not None:
            return _Effect(note=f"{given.key} of {given.source} has precedence")
    if rule.unless_equal and derived.value == _find(values, rule.unless_equal):
        return _Effect(note=f"{rule.unless_equal} is the same")
    table, name = rule.setting.split(".")
    setting = read_settings(table, TABLES[table])[name]
    set_value(values, setting, option, derived.value, source)
    return _Effect(
        setting=setting.key, value=_format(setting, values.get(table, name, derived.value)), note=derived.note
    )


def _find(values: ConfigValues, key: str) -> Any:
    """Return the value of a setting, or its default."""
    table, name = key.split(".")
    return values.get(table, name, read_settings(table, TABLES[table])[name].default)


def _add_item(
    values: ConfigValues, name: str, derived: Derived, source: str, option: str, environment: Mapping[str, str]
) -> _Effect:
    if variable_name(name) in environment:
        return _Effect(note=f"{variable_name(name)} replaces it")
    for given in values.lists[name]:
        for field in _IDENTITIES[name]:
            if getattr(given.value, field).strip("/") == derived.value[field]:
                return _Effect(note=f"{given.key} of {given.source} has the same {field}, and precedence")
    add_item(values, name, derived.value, option, source)
    settings = read_settings(name, LISTS[name])
    shown = {key: value for key, value in derived.value.items() if not settings[key].is_secret and value != []}
    text = ", ".join(f"{key} = {_format(settings[key], value)}" for key, value in shown.items())
    return _Effect(setting=f"[[{name}]]", value=f"{{ {text} }}", note=derived.note)


def _describe(
    option: ConfOption, last: Mapping[str, ConfOption], effects: Mapping[str, Sequence[_Effect]]
) -> Iterator[OptionOutcome]:
    name = option.name
    if last[name] is not option and name and name not in _CUMULATIVE:
        yield OptionOutcome(line=option.line, option=name, note=f"line {last[name].line} states it again")
        return
    found = effects.get(name) or [_Effect(note=_reason(name))]
    for effect in [each for each in found if not each.is_minor] or found[:1]:
        yield OptionOutcome(line=option.line, option=name, setting=effect.setting, value=effect.value, note=effect.note)


def _reason(name: str) -> str:
    if name in REASONS:
        return REASONS[name]
    if not name:
        return "the line is not an option; write name=value"
    known = [*REASONS, *(option for rule in RULES for option in rule.options)]
    similar = difflib.get_close_matches(name.lstrip("-"), known, n=1)
    return "aria2 has no such option" + (f"; did you mean {similar[0]}?" if similar else "")


def _format(setting: Setting, value: Any) -> str:
    """Return a value as TOML writes it."""
    if setting.is_size and value:
        value = format_size(value)
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()
