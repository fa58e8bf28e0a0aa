"""A command: the administrator's program is run, with the facts in its environment and the message as its input."""

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
"""Bytes of the end of what a program that failed has printed, for the log."""

_DECODER: Final = msgspec.json.Decoder(Message)


class ProgramRunner:
    """Runs programs, each as the leader of a process group of its own, without a shell."""

    def __init__(self, environment: Mapping[str, str], root: str) -> None:
        """`environment` is the daemon's own, whose settings no program inherits; `root` the storage root."""
        self._environment = {
            name: value for name, value in environment.items() if not name.startswith(ENVIRONMENT_PREFIX)
        }
        self._root = root

    async def run(self, hook: HookConfig, delivery: Delivery) -> Delivered | DeliveryFailed:
        """Runs the hook's program; exit status 0 is success. One that takes too long is killed with its group."""
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
                # Where downloads lie, a file could pass itself off as a module or a setting of the program.
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
                # What it has printed is there; what it left running in the background may hold the pipe for ever.
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
    """The variables of a program's environment; those that say nothing are empty. `number` counts the tries from 1."""
    entry = message.data
    # Not named like the daemon's own settings, so that a program may call downloadd again.
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
    # A refused request may have named a file with a NUL in it, which no variable can hold.
    return {name: str(value).replace("\0", "\N{REPLACEMENT CHARACTER}") for name, value in variables.items()}


async def _write_input(pipe: asyncio.StreamWriter | None, body: bytes) -> None:
    assert pipe is not None  # noqa: S101 - it was asked for
    # Many programs read nothing.
    with suppress(ConnectionError):
        pipe.write(body)
        await pipe.drain()
    pipe.close()
    with suppress(ConnectionError):
        await pipe.wait_closed()


async def _read_output(pipe: asyncio.StreamReader | None, output: bytearray) -> None:
    assert pipe is not None  # noqa: S101 - it was asked for
    while piece := await pipe.read(1 << 16):
        output += piece
        del output[:-MAX_OUTPUT_BYTES]
