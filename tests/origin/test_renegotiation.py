"""A server that renegotiates TLS 1.2 within a response, as IIS does for client certificates: the one of OpenSSL.

OpenSSL renegotiates securely only (RFC 5746), and verifies the certificate again.
"""

import asyncio
from pathlib import Path

import pytest
from support.loopback_client import open_client
from support.origin.tls import Authority
from support.origin_requests import get_request
from support.ports import free_port
from support.waiting import CONDITION_TIMEOUT

from downloadd.origin.connection_options import ConnectionOptions
from downloadd.origin.timeouts import Timeouts
from downloadd.tls import make_client_context

pytestmark = pytest.mark.system

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"


async def test_the_content_is_complete_after_a_renegotiation(tmp_path: Path) -> None:
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
    commands, printed = server.stdin, server.stdout
    assert commands is not None
    assert printed is not None
    output = b""

    async def wait_for_output(text: bytes) -> None:
        nonlocal output
        while text not in output:
            data = await asyncio.wait_for(printed.read(1000), CONDITION_TIMEOUT)
            assert data, output
            output += data

    await wait_for_output(b"ACCEPT")
    options = ConnectionOptions(tls=make_client_context([str(bundle)]))
    timeouts = Timeouts(connect=CONDITION_TIMEOUT, stall=CONDITION_TIMEOUT)
    loop = asyncio.get_running_loop()
    async with open_client() as client:
        asking = loop.create_task(client.request(get_request(f"https://a.example:{port}/f"), options, timeouts))
        await wait_for_output(b"GET /f")
        commands.write(HEAD + b"0123456789")
        response = await asking
        assert await response.content.read() == b"0123456789"
        reading = loop.create_task(response.content.read())
        # A line that begins with this letter is a command.
        commands.write(b"r\n")
        await wait_for_output(b"SSL_do_handshake -> 1")
        commands.write(b"abcdefghij")
        assert await reading == b"abcdefghij"
        assert await response.content.read() == b""
        response.content.close()
    server.kill()
    await server.wait()
