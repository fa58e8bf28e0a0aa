"""A server that wants to renegotiate TLS 1.2 within a response: the real one of OpenSSL."""

import asyncio
from pathlib import Path

import pytest
from support.nginx_origin import free_port
from support.origin.tls import Authority
from support.origin_requests import get_request
from support.scripted_resolver import ScriptedResolver

from downloadd.clock import SystemClock
from downloadd.origin.client import OriginClient
from downloadd.origin.connection_options import ConnectionOptions
from downloadd.policy.addresses import AddressRules
from downloadd.tls import make_client_context

pytestmark = pytest.mark.system

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"


async def test_a_renegotiation_is_refused_and_the_content_is_complete(tmp_path: Path) -> None:
    authority, port = Authority(), free_port()
    certificate, bundle = tmp_path / "server.pem", tmp_path / "ca.pem"
    certificate.write_bytes(authority.issue("a.example").private_key_and_cert_chain_pem.bytes())
    bundle.write_bytes(authority.certificate)
    server = await asyncio.create_subprocess_exec(
        *("openssl", "s_server", "-accept", str(port), "-cert", certificate, "-tls1_2", "-naccept", "1"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    output = b""
    while b"ACCEPT" not in output:
        output += await server.stdout.read(1000)
    options = ConnectionOptions(tls=make_client_context([str(bundle)]), connect_timeout=5)
    rules = AddressRules(["127.0.0.0/8"])
    async with OriginClient(
        rules=lambda: rules, resolver=ScriptedResolver(["127.0.0.1"]), stall_timeout=10, clock=SystemClock()
    ) as client:
        request = client.request(get_request(f"https://a.example:{port}/f"), options)
        asking = asyncio.get_running_loop().create_task(request)
        while b"GET /f" not in output:
            output += await server.stdout.read(1000)
        for piece in (HEAD + b"0123456789", b"r\n", b"0123456789"):
            server.stdin.write(piece)
            # The program takes what it reads at once for one command.
            await asyncio.sleep(0.3)
        response = await asking
        content = b""
        while data := await response.content.read():
            content += data
        response.content.close()
    assert content == b"0123456789" * 2
    server.kill()
    output += (await server.communicate())[0]
    assert b"no renegotiation" in output
