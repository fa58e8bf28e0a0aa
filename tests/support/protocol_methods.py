"""Comparison of a protocol with a class that implements it, whose callers may use keywords."""

import inspect
from collections.abc import Iterator, Sequence

Signature = tuple[bool, Sequence[tuple[str, inspect._ParameterKind, object]]]
"""True for a coroutine function; then name, kind and default of each parameter."""


def public_names(protocol: type) -> list[str]:
    """Return the names of the methods and properties of a protocol, without those of its bases."""
    return [name for name in vars(protocol) if not name.startswith("_")]


def differences(protocol: type, implementation: type) -> Iterator[str]:
    """Yield the names of the protocol that a class lacks or implements with other parameters."""
    for name in public_names(protocol):
        promised, found = vars(protocol)[name], getattr(implementation, name, None)
        if isinstance(promised, property):
            if not isinstance(found, property):
                yield name
        elif not callable(found) or _signature(promised) != _signature(found):
            yield name


def _signature(function: object) -> Signature:
    assert callable(function)
    parameters = inspect.signature(function).parameters.values()
    return inspect.iscoroutinefunction(function), [(each.name, each.kind, each.default) for each in parameters]
