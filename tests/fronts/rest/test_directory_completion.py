"""Completion of directory names."""

import json

import pytest
from support.served_api import ServedApi


@pytest.mark.parametrize(
    ("query", "directories"),
    [
        # `not-for-alice` exists, but alice has no right to it.
        ("", ["Downloads", "Imports"]),
        ("?prefix=D", ["Downloads"]),
        ("?prefix=not", []),
        ("?limit=1", ["Downloads"]),
    ],
)
async def test_directories_of_the_user_are_listed(api: ServedApi, query: str, directories: list[str]) -> None:
    status, _, body = await api.raw("GET", f"/api/v1/directories{query}")
    assert (status, json.loads(body)) == (200, {"directories": directories})
