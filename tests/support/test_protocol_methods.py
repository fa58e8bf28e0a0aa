from typing import Protocol

from support.protocol_methods import differences, public_names


class Store(Protocol):
    @property
    def size(self) -> int: ...

    async def load(self, key: str, *, limit: int = 9) -> bytes: ...

    def close(self) -> None: ...


class Same:
    @property
    def size(self) -> int:
        return 0

    async def load(self, key: str, *, limit: int = 9) -> bytes:
        return key.encode()[:limit]

    def close(self) -> None:
        pass


class Other:
    def size(self) -> int:
        return 0

    async def load(self, key: str, *, limit: int = 8) -> bytes:
        return key.encode()[:limit]


def test_a_class_with_the_same_methods_has_no_differences() -> None:
    assert public_names(Store) == ["size", "load", "close"]
    assert list(differences(Store, Same)) == []


def test_methods_that_are_missing_or_have_other_parameters_are_named() -> None:
    assert list(differences(Store, Other)) == ["size", "load", "close"]
