"""Program between sshd and sftp-server that asks the test before each request and after its answer.

It is the subsystem `sftp` of a server of the tests: python -I sftp_request_filter.py SFTP_SERVER SOCKET. It connects to
the socket twice, for requests and for answers, and writes the name of each on a line. It waits for a line: `go`, or the
connection ends.
"""

import os
import socket
import subprocess
import sys
import threading
from io import BufferedRWPair
from typing import IO, Final

NAMES: Final = {
    3: "open",
    6: "write",
    7: "lstat",
    9: "setstat",
    11: "opendir",
    13: "remove",
    14: "mkdir",
    17: "stat",
    18: "rename",
}
EXTENDED: Final = 200


def main(server: str, control: str) -> None:
    """Pass requests and answers on until one side ends."""
    with subprocess.Popen([server], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pending: dict[bytes, str] = {}
        answers = threading.Thread(target=pass_answers, args=(process.stdout, pending, connect(control)), daemon=True)
        answers.start()
        requests = connect(control)
        while packet := read_packet(sys.stdin.buffer):
            name = name_of(packet)
            if name:
                pending[packet[1:5]] = name
                ask(requests, f"before {name}")
            write_packet(process.stdin, packet)
        process.kill()


def pass_answers(source: IO[bytes], pending: dict[bytes, str], control: BufferedRWPair) -> None:
    """Pass answers on until the server ends."""
    while packet := read_packet(source):
        name = pending.pop(packet[1:5], "")
        if name:
            ask(control, f"after {name}")
        write_packet(sys.stdout.buffer, packet)


def connect(path: str) -> BufferedRWPair:
    """Return a connection to the test."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection.makefile("rwb")


def ask(control: BufferedRWPair, line: str) -> None:
    """Wait for the answer of the test; end the program if it is another one than `go`."""
    control.write(f"{line}\n".encode())
    control.flush()
    if control.readline() != b"go\n":
        os._exit(1)


def name_of(packet: bytes) -> str:
    """Return the name of a request that matters; "" for others."""
    if packet[0] != EXTENDED:
        return NAMES.get(packet[0], "")
    length = int.from_bytes(packet[5:9], "big")
    return packet[9 : 9 + length].decode().partition("@")[0]


def read_packet(source: IO[bytes]) -> bytes:
    """Return the next packet without its length; nothing at the end."""
    length = int.from_bytes(source.read(4), "big")
    return source.read(length) if length else b""


def write_packet(target: IO[bytes], packet: bytes) -> None:
    """Write a packet with its length."""
    target.write(len(packet).to_bytes(4, "big") + packet)
    target.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
