"""Fixtures for tests of object storage."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from support.object_server import ObjectProxy, create_bucket, running_object_proxy, running_object_server


@pytest.fixture(scope="session")
def object_server() -> Iterator[str]:
    """Address of moto, one for all tests of the worker."""
    with running_object_server() as url:
        yield url


@pytest.fixture
async def bucket(object_server: str) -> str:
    """Name of a new bucket."""
    name = f"bucket-{uuid.uuid4().hex}"
    await create_bucket(object_server, name)
    return name


@pytest.fixture
async def proxy(object_server: str) -> AsyncIterator[ObjectProxy]:
    """Proxy before moto."""
    async with running_object_proxy(object_server) as running:
        yield running
