"""The limits of the process that reads 7z and RAR archives."""

import json
import subprocess
import sys
from pathlib import Path

from downloadd.hooks import unpack_program

SCRIPT = f"""
import importlib.util, json, os, resource, socket, sys
spec = importlib.util.spec_from_file_location("program", {unpack_program.__file__!r})
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
program.confine(512 << 20, 5)

def outcome(action):
    try:
        action()
        return "done"
    except (OSError, MemoryError, ValueError) as error:
        return type(error).__name__

def write():
    os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), b"x")

print(json.dumps({{
    "limits": [resource.getrlimit(each)[1] for each in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)],
    "memory": outcome(lambda: bytearray(1 << 30)),
    "write": outcome(write),
    "more": outcome(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))) if os.geteuid() else "ValueError",
    "interfaces": [name for _, name in socket.if_nameindex()],
    "privileges": [line for line in open("/proc/self/status") if line.startswith("NoNewPrivs")],
}}))
"""


def test_the_process_gives_up_what_it_does_not_need(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", SCRIPT, str(tmp_path / "file")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    assert found["limits"] == [512 << 20, 5, 0]
    assert (found["memory"], found["write"], found["more"]) == ("MemoryError", "OSError", "ValueError")
    assert found["privileges"] == ["NoNewPrivs:\t1\n"]
    # A machine may not allow namespaces.
    own = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0
    assert not own or found["interfaces"] == ["lo"]


def test_a_missing_library_is_reported(tmp_path: Path) -> None:
    command = [sys.executable, "-I", unpack_program.__file__, "7zip", "list", str(1 << 30), "5", "0"]
    environment = {"LIBARCHIVE": str(tmp_path / "missing.so")}
    ended = subprocess.run(command, capture_output=True, check=True, env=environment, stdin=subprocess.DEVNULL)
    kind, size = unpack_program.HEADER.unpack_from(ended.stdout)
    assert kind == unpack_program.MISSING
    assert len(ended.stdout) == unpack_program.HEADER.size + size
    assert b"missing.so" in ended.stdout
