"""Fixtures of all tests that need object storage: moto, and a proxy before it."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from support.object_server import (
    ObjectProxy,
    create_bucket,
    make_client,
    running_object_proxy,
    running_object_server,
)

from downloadd.storage.objects.client import ObjectClient


@pytest.fixture(scope="session")
def object_server() -> Iterator[str]:
    """Return the address of moto, one for all tests of the worker."""
    with running_object_server() as url:
        yield url


@pytest.fixture
async def bucket(object_server: str) -> str:
    """Return the name of a new bucket."""
    name = f"bucket-{uuid.uuid4().hex}"
    await create_bucket(object_server, name)
    return name


@pytest.fixture
async def object_proxy(object_server: str) -> AsyncIterator[ObjectProxy]:
    """Start a proxy before moto."""
    async with running_object_proxy(object_server) as running:
        yield running


@pytest.fixture
async def object_client(object_server: str, bucket: str) -> AsyncIterator[ObjectClient]:
    """Return a client that reads the bucket past the proxy."""
    async with make_client(object_server, bucket) as opened:
        yield opened
