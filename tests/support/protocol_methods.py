"""Comparison of a protocol with a class that implements it, whose callers may use keywords."""

import inspect
from collections.abc import Callable, Iterator


def public_names(protocol: type) -> list[str]:
    """Return the names of the methods and properties of a protocol, without those of its bases."""
    return [name for name in vars(protocol) if not name.startswith("_")]


def differences(protocol: type, implementation: type) -> Iterator[str]:
    """Yield the names of the protocol that a class lacks, or implements so that a call by the protocol may fail.

    Further parameters of the class need defaults.
    """
    for name in public_names(protocol):
        promised, found = vars(protocol)[name], getattr(implementation, name, None)
        if isinstance(promised, property):
            if not isinstance(found, property):
                yield name
        elif not callable(found) or not _accepts(found, promised):
            yield name


def _accepts(found: Callable[..., object], promised: Callable[..., object]) -> bool:
    if inspect.iscoroutinefunction(found) is not inspect.iscoroutinefunction(promised):
        return False
    parameters = [(each.name, each.kind, each.default) for each in inspect.signature(promised).parameters.values()]
    known = {name for name, _, _ in parameters}
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(found).parameters.values()
        if each.name in known or each.default is inspect.Parameter.empty
    ] == parameters
