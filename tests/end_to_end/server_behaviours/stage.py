"""Stage of one behaviour: its origins and its directory at the daemon, and the outcome in the words of the docs."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import trustme
from support.daemon_process import DaemonProcess
from support.nginx_origin import NginxOrigin
from support.origin.content import expected_bytes
from support.origin.origin import Origin, Request
from support.origin.scripted_response import ScriptedResponse, plan_response
from support.waiting import wait_until

SIZE: Final = 1 << 20
"""Bytes of the file of most behaviours; a transfer over several connections needs more."""
CUT: Final = SIZE // 2 + 1000
"""Bytes after which its transfer is cut; the rest is shorter."""
CONTENT: Final = expected_bytes(0, 0, SIZE)
"""The file of most behaviours, seed 0 of the scripted origin."""

Answer = ScriptedResponse | Callable[[Request, "Stage"], ScriptedResponse]
Script = Answer | Sequence[Answer] | Mapping[str, Answer | Sequence[Answer]]
"""Responses to requests one after the other, the last one repeats; by path, if there are several."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """The things that all behaviours share."""

    daemon: DaemonProcess
    nginx: NginxOrigin
    authority: trustme.CA
    """Certificate authority that the daemon trusts for all hosts."""
    private_authority: trustme.CA
    """Certificate authority that the daemon trusts for the host of one behaviour only."""
    hosts: Path | None
    """The hosts file of the daemon; None if this machine does not allow to give it one."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The observed outcome of a behaviour."""

    text: str
    """The outcome in the words of the table, without the evidence of a continuation."""
    resumed_by: str | None = None
    """The evidence that the history names."""
    details: str = ""
    """Entries and requests, for the message of a failed test."""


class Stage:
    """Stage of one behaviour.

    Attributes:
        shared: the things that all behaviours share.
        directory: the directory at the daemon.
        addresses: loopback addresses that no other behaviour uses, so that hosts have nothing to do with each other.
        content: the expected file.
        entries: the entries of the downloads.
        began_at: Unix time of the beginning.
    """

    def __init__(self, shared: Surroundings, *, name: str, number: int, content: bytes) -> None:
        self.shared = shared
        self.directory = name
        self.addresses = addresses(number)
        self.content = content
        self.entries: list[dict[str, Any]] = []
        self.began_at = int(time.time())
        self._answers: list[tuple[Request, bytes]] = []
        self._first_answer = 0

    @property
    def daemon(self) -> DaemonProcess:
        """The daemon."""
        return self.shared.daemon

    @asynccontextmanager
    async def origin(self, script: Script, *, address: int = 0, **options: Any) -> AsyncIterator[Origin]:
        """Start an origin on one of the addresses; `options` are those of `Origin`."""
        queues = {path: _queue(answers) for path, answers in _by_path(script).items()}

        def respond(request: Request) -> ScriptedResponse:
            queue = queues.get(request.path) or queues["*"]
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            response = answer if isinstance(answer, ScriptedResponse) else answer(request, self)
            self._answers.append((request, _head(response, request)))
            return response

        async with Origin(host=self.addresses[address], fallback=respond, **options) as origin:
            yield origin

    def answer_count(self, path: str) -> int:
        """Return the number of requests to a path that were answered before."""
        return sum(request.path == path for request, _ in self._answers)

    async def fetch(self, url: str | Sequence[str], **parameters: Any) -> str:
        """Download to the end; return the outcome."""
        self._first_answer = len(self._answers)
        _, started = await self.daemon.fetch(self.directory, url, **parameters)
        is_divided = "segments" in parameters or not isinstance(url, str)
        return self._describe(await self.daemon.get_download(started["download_id"]), is_divided=is_divided)

    async def retry(self, url: str, *, by_amendment: bool) -> str:
        """Retry the last download from another URL, by `PATCH` or in the request to retry; return the outcome."""
        id = self.entries[-1]["id"]
        if by_amendment:
            status, body = await self.daemon.amend(id, url=url)
            assert status == 200, body
        path = f"/api/v1/downloads/{id}/retry"
        status, body = await self.daemon.request("POST", path, json=None if by_amendment else {"url": url})
        assert status == 200, body
        return self._describe(await self._wait_until_finished(id))

    async def wait(self, url: str, *, seconds: float = 0, **parameters: Any) -> str:
        """Start a download; return that it waits, or its outcome if it has ended after so many seconds; cancel it."""
        id = (await self.daemon.start_download(self.directory, url, **parameters))["download_id"]
        await asyncio.sleep(seconds)

        async def is_settled() -> dict[str, Any] | None:
            entry = await self.daemon.get_download(id)
            return entry if "reason" not in entry or (entry["reason"] and entry["error"]) else None

        entry: dict[str, Any] = await wait_until(is_settled, every=0.2)
        if "reason" not in entry:
            return self._describe(entry)
        self.entries.append(entry)
        await self.daemon.control(id, "cancel")
        return "waits"

    def details(self) -> str:
        """Return entries and requests as lines of text."""
        lines = [str(entry) for entry in self.entries]
        for request, head in self._answers:
            asked = " ".join(f"{name}: {request.field(name)}" for name in ("Range", "If-Range") if request.field(name))
            status_line, *_ = head.decode().split("\r\n")
            lines.append(f"{request.target.decode()} {asked} -> {status_line}")
        return "\n".join(lines)

    async def _wait_until_finished(self, id: str) -> dict[str, Any]:
        async def has_ended() -> dict[str, Any] | None:
            entry = await self.daemon.get_download(id)
            return None if "reason" in entry else entry

        return dict(await wait_until(has_ended, every=0.2))

    def _describe(self, entry: dict[str, Any], *, is_divided: bool = False) -> str:
        self.entries.append(entry)
        place = self.daemon.root / self.directory
        if entry["status"] != "completed":
            is_kept = any(part.stat().st_size for part in place.glob(".*.part"))
            is_first = len(self._answers) - self._first_answer == 1
            return f"`{entry['error']}`{' without a retry' if is_first else ''}{', part kept' if is_kept else ''}"
        if (self.daemon.root / entry["file_path"]).read_bytes() != self.content:
            return "another file"
        warning = " with a warning" if entry.get("warning") else ""
        return f"{'completed' if is_divided else self._progress()}{warning}"

    def _progress(self) -> str:
        """Return how the file was completed, by the answers that had its bytes."""
        answers = self._answers[self._first_answer :]
        partial = [_is_partial(head) for _, head in answers if _has_file(head)]
        if partial and partial[-1]:
            return "continued"
        return "started over" if partial.count(False) > 1 else "completed"


def addresses(number: int) -> tuple[str, str]:
    """Return the loopback addresses of the behaviour of this number."""
    return f"127.1.{number + 1}.1", f"127.1.{number + 1}.2"


def requested_range(request: Request, size: int) -> tuple[int, int] | None:
    """Return the offsets of the first requested byte and behind the last one; None without a range."""
    first, dash, last = (request.field("Range") or "").removeprefix("bytes=").partition("-")
    return (int(first), min(int(last) + 1, size) if last else size) if dash else None


def server_context(key: trustme.Blob, *chain: trustme.Blob) -> ssl.SSLContext:
    """Return the context of an origin with this key and the chain of its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(key.bytes() + b"".join(each.bytes() for each in chain)).tempfile() as file:
        context.load_cert_chain(file)
    return context


def _by_path(script: Script) -> Mapping[str, Answer | Sequence[Answer]]:
    return script if isinstance(script, Mapping) else {"*": script}


def _queue(answers: Answer | Sequence[Answer]) -> list[Answer]:
    return list(answers) if isinstance(answers, Sequence) else [answers]


def _head(response: ScriptedResponse, request: Request) -> bytes:
    """Return the head of the final response as sent, "" if there is none."""
    if response.raw is not None:
        return response.raw.partition(b"\r\n\r\n")[0]
    planned = plan_response(
        response, method=request.method, range_field=request.field("Range"), if_range=request.field("If-Range")
    )
    return planned.head.removeprefix(response.interim)


def _has_file(head: bytes) -> bool:
    """Return True if a response has bytes of the file: no redirect, no error, and no page in its place."""
    return head[9:12] in {b"200", b"203", b"206"} and b"text/html" not in head


def _is_partial(head: bytes) -> bool:
    return b"\r\ncontent-range: bytes " in head.lower()
