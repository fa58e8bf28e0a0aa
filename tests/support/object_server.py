"""Servers of object storage: moto, in a process of its own, and a proxy before it that fails as a test says."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from ssl import SSLContext
from types import MappingProxyType
from typing import Final

import aiohttp
from aiohttp import web

from downloadd.clock import Clock, SystemClock
from downloadd.config import RemoteStorageConfig
from downloadd.storage.objects.client import ObjectClient
from downloadd.storage.objects.location import locate
from downloadd.storage.objects.signature import ObjectCredentials
from downloadd.storage.objects.storage import ObjectStorage

CREDENTIALS: Final = ObjectCredentials(access_key_id="AKIDEXAMPLE", secret_access_key="open sesame")

PART_BYTES: Final = 64 * 1024
"""Bytes of a part in tests; the configuration allows no such small one."""

_PROGRAM: Final = """
import logging, sys
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def running_object_server() -> Iterator[str]:
    """Run moto as a process that ends with this one; yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # Small parts keep the tests cheap.
        env={**os.environ, "S3_UPLOAD_PART_MIN_SIZE": "1024"},
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def create_bucket(url: str, name: str) -> None:
    """Create a bucket; the server does not check who asks."""
    async with aiohttp.ClientSession() as session, session.put(f"{url}/{name}") as response:
        assert response.status == 200, await response.text()


def make_client(
    endpoint: str, bucket: str, *, clock: Clock | None = None, credentials: ObjectCredentials = CREDENTIALS
) -> ObjectClient:
    """Return a client for a bucket, whose keys begin with `files/`."""
    location = locate(f"s3://{bucket}/files", region="us-east-1", endpoint=endpoint)
    return ObjectClient(location, lambda: credentials, clock=clock or SystemClock(), tls=_no_tls)


def _no_tls(host: str) -> SSLContext:
    raise AssertionError(f"no TLS for {host} in tests")


Answer = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Answers a request in place of the server; returns None to let it pass."""


class ObjectProxy:
    """Proxy before an object server.

    Attributes:
        url: address of the proxy.
        requests: method and query of each request, in order.
        before: called before a request is passed on; its answer replaces that of the server.
        after: called when the server has answered; its answer replaces that of the server.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.url = ""
        self.requests: list[str] = []
        self.before: Answer | None = None
        self.after: Answer | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, and its answer back."""
        content = await request.read()
        names = [name for name in ("uploads", "partNumber", "uploadId", "list-type") if name in request.query]
        self.requests.append(" ".join([request.method, *names]))
        if self.before is not None and (answer := await self.before(request)) is not None:
            return answer
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                f"{self._target}{request.raw_path}",
                headers=request.headers,
                data=BytesIO(content) if content else None,
            ) as response,
        ):
            received = await response.read()
            if response.status == 500 and "partNumber" in request.query:
                # moto fails where S3 says that there is no such upload.
                return answer_error(404, "NoSuchUpload")
            if self.after is not None and (answer := await self.after(request)) is not None:
                return answer
            dropped = {"connection", "date", "server", "transfer-encoding", "content-length"}
            headers = {name: value for name, value in response.headers.items() if name.lower() not in dropped}
            if request.method == "HEAD":
                headers["Content-Length"] = response.headers.get("Content-Length", "0")
            return web.Response(status=response.status, headers=headers, body=received)


def answer_error(status: int, code: str) -> web.Response:
    """Return an error of S3."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code} here</Message></Error>'
    return web.Response(status=status, text=body, content_type="application/xml")


async def drop_connection(request: web.Request) -> web.StreamResponse | None:
    """Close the connection of a request without an answer."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.sleep(0)
    return web.Response(status=500)


@asynccontextmanager
async def running_object_proxy(target: str) -> AsyncIterator[ObjectProxy]:
    """Run a proxy before an object server."""
    proxy = ObjectProxy(target)
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield proxy
    finally:
        await runner.cleanup()


def make_storage(
    endpoint: str,
    bucket: str,
    *,
    path: str = "d",
    staging_size: int = 0,
    environment: Mapping[str, str] = MappingProxyType({}),
    **settings: str,
) -> ObjectStorage:
    """Return a storage for a directory in a bucket, whose keys begin with `files/d/` by default."""
    credentials = {"access_key_id": CREDENTIALS.access_key_id, "secret_access_key": CREDENTIALS.secret_access_key}
    config = RemoteStorageConfig(
        path=path,
        url=f"s3://{bucket}/files/{path}",
        endpoint=endpoint,
        staging_size=staging_size,
        part_size=5 << 20,
        **(settings or credentials),
    )
    storage = ObjectStorage(config, clock=SystemClock(), environment=environment, tls=_no_tls)
    storage.publisher.part_size = PART_BYTES
    return storage
