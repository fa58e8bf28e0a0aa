"""Delivery to a program of the administrator: facts in environment variables, the message on standard input."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from downloadd.config import ENVIRONMENT_PREFIX, HookConfig
from downloadd.delivery import Delivery
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.rules import Message

MAX_OUTPUT_BYTES: Final = 500
"""Bytes of the end of a failed program's output that are kept for the log."""

_DECODER: Final = msgspec.json.Decoder(Message)


class ProgramRunner:
    """Runner of programs, each as the leader of a process group of its own, without a shell."""

    def __init__(self, environment: Mapping[str, str], root: str) -> None:
        """Create a runner.

        Args:
            environment: that of the daemon; programs inherit it without the daemon's settings.
            root: the storage root.
        """
        self._environment = {
            name: value for name, value in environment.items() if not name.startswith(ENVIRONMENT_PREFIX)
        }
        self._root = root

    async def run(self, hook: HookConfig, delivery: Delivery) -> Delivered | DeliveryFailed:
        """Run the hook's program; exit status 0 is success. Kill its process group after the hook's timeout."""
        root = await asyncio.to_thread(os.path.abspath, self._root)
        try:
            process = await asyncio.create_subprocess_exec(
                *hook.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={
                    **self._environment,
                    **environment_variables(_DECODER.decode(delivery.body), root, delivery.tries + 1),
                },
                # In the storage root, the program could load a downloaded file as a module or as settings.
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            return DeliveryFailed(reason=f"the program cannot be started: {reason}")
        output = bytearray()
        pipes = asyncio.gather(_write_input(process.stdin, delivery.body), _read_output(process.stdout, output))
        try:
            async with asyncio.timeout(hook.timeout):
                status = await process.wait()
                # A process that the program left in the background may keep the pipe open; do not wait for it.
                await asyncio.wait((pipes,), timeout=0.1)
        except TimeoutError:
            return DeliveryFailed(reason=f"the program was killed after {hook.timeout:g} s")
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await asyncio.shield(process.wait())
            pipes.cancel()
            await asyncio.gather(pipes, return_exceptions=True)
        if status == 0:
            return Delivered(answer="exit status 0")
        ended = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
        output_tail = bytes(output[-MAX_OUTPUT_BYTES:]).decode(errors="replace").strip()
        return DeliveryFailed(reason=f"{ended}: {output_tail}" if output_tail else ended)


def environment_variables(message: Message, root: str, number: int) -> dict[str, str]:
    """Return the environment variables of a program; `number` is that of the attempt, from 1.

    A variable without a value is empty.
    """
    entry = message.data
    # The prefix differs from that of the daemon's settings, so that a program can start downloadd.
    variables = {
        "HOOK_EVENT": message.type,
        "HOOK_EVENT_ID": message.id,
        "HOOK_TRY": str(number),
        "HOOK_DOWNLOAD_ID": entry.id,
        "HOOK_STATUS": entry.status,
        "HOOK_FILE": os.path.join(root, entry.file_path) if entry.status == "completed" else "",
        "HOOK_FILE_PATH": entry.file_path,
        "HOOK_FILENAME": entry.filename,
        "HOOK_DIRECTORY": entry.directory,
        "HOOK_URL": entry.url,
        "HOOK_BYTES": "" if entry.total_bytes is None else str(entry.total_bytes),
        "HOOK_CHECKSUM": entry.checksum or "",
        "HOOK_CONTENT_TYPE": entry.content_type or "",
        "HOOK_USER": entry.user,
        "HOOK_ERROR": entry.error or "",
        "HOOK_DETAIL": entry.detail or "",
    }
    # The file name of a refused request may contain NUL, which a variable cannot hold.
    return {name: str(value).replace("\0", "\N{REPLACEMENT CHARACTER}") for name, value in variables.items()}


async def _write_input(pipe: asyncio.StreamWriter | None, body: bytes) -> None:
    assert pipe is not None  # noqa: S101 - the pipe was requested
    # Many programs do not read their input.
    with suppress(ConnectionError):
        pipe.write(body)
        await pipe.drain()
    pipe.close()
    with suppress(ConnectionError):
        await pipe.wait_closed()


async def _read_output(pipe: asyncio.StreamReader | None, output: bytearray) -> None:
    assert pipe is not None  # noqa: S101 - the pipe was requested
    while data := await pipe.read(1 << 16):
        output += data
        del output[:-MAX_OUTPUT_BYTES]
