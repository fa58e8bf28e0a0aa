from typing import Protocol

from support.protocol_methods import differences, public_names


class Store(Protocol):
    @property
    def size(self) -> int: ...

    async def load(self, key: str, *, limit: int = 9) -> bytes: ...

    def close(self) -> None: ...


class Fitting:
    @property
    def size(self) -> int:
        return 0

    async def load(self, key: str, *, limit: int = 9, cached: bool = True) -> bytes:
        return key.encode()[:limit] if cached else b""

    def close(self) -> None:
        pass


class Demanding:
    size = Fitting.size
    load = Fitting.load

    def close(self, force: bool) -> None:
        raise NotImplementedError(force)


class Other:
    def size(self) -> int:
        return 0

    async def load(self, key: str, *, limit: int = 8) -> bytes:
        return key.encode()[:limit]


def test_a_class_with_the_same_methods_and_further_defaults_has_no_differences() -> None:
    assert public_names(Store) == ["size", "load", "close"]
    assert list(differences(Store, Fitting)) == []


def test_methods_that_are_missing_or_have_other_parameters_are_named() -> None:
    assert list(differences(Store, Other)) == ["size", "load", "close"]
    assert list(differences(Store, Demanding)) == ["close"]
