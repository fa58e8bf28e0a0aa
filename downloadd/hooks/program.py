"""Delivery to a program of the administrator: facts in environment variables, the message on standard input."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

import msgspec

from downloadd.config import ENVIRONMENT_PREFIX, HookConfig
from downloadd.delivery import Delivery
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.rules import Message

MAX_OUTPUT_BYTES: Final = 500
"""Bytes of the end of a failed program's output that are kept for the log."""

OUTPUT_TIMEOUT_SECONDS: Final = 0.1
"""Seconds to wait for the rest of the output after a program has ended."""

_DECODER: Final = msgspec.json.Decoder(Message)


class _Program(asyncio.SubprocessProtocol):
    """Observer of one program: its output, its end, and the ends of its pipes."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.has_exited = asyncio.Event()
        self.is_input_open = True
        self.is_output_closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output += data
        del self.output[:-MAX_OUTPUT_BYTES]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self.is_input_open = False
        else:
            self.is_output_closed.set()

    def process_exited(self) -> None:
        # `Process.wait` waits for the pipes too, which a process in the background may keep open.
        self.has_exited.set()


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
        variables = environment_variables(_DECODER.decode(delivery.body), root, delivery.tries + 1)
        program = _Program()
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: program,
                *hook.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**self._environment, **variables},
                # In the storage root, the program could load a downloaded file as a module or as settings.
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            return DeliveryFailed(reason=f"the program cannot be started: {reason}")
        standard_input = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        try:
            # uvloop raises it if the program has ended already.
            with suppress(RuntimeError):
                standard_input.write(delivery.body)
                standard_input.close()
            async with asyncio.timeout(hook.timeout):
                await program.has_exited.wait()
        except TimeoutError:
            return DeliveryFailed(reason=f"the program was killed after {hook.timeout:g} s")
        finally:
            if not program.has_exited.is_set():
                with suppress(ProcessLookupError):
                    os.killpg(transport.get_pid(), signal.SIGKILL)
                await asyncio.shield(program.has_exited.wait())
            with suppress(TimeoutError):
                await asyncio.wait_for(program.is_output_closed.wait(), OUTPUT_TIMEOUT_SECONDS)
            # A program may leave its input unread.
            if program.is_input_open:
                standard_input.abort()
            transport.close()
        return _outcome(cast(int, transport.get_returncode()), bytes(program.output))


def _outcome(status: int, output: bytes) -> Delivered | DeliveryFailed:
    """Return the outcome of a program that ended with a status, or by the signal `-status`."""
    if status == 0:
        return Delivered(answer="exit status 0")
    reason = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
    text = output.decode(errors="replace").strip()
    return DeliveryFailed(reason=f"{reason}: {text}" if text else reason)


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
        "HOOK_WARNING": entry.warning or "",
    }
    # The file name of a refused request may contain NUL, which a variable cannot hold.
    return {name: str(value).replace("\0", "\N{REPLACEMENT CHARACTER}") for name, value in variables.items()}
