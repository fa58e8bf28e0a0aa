"""What a power cut may take is what was not brought to stable storage: the order of the system calls tells.

`tests/storage/test_commit.py` looks at the commit of a file alone; here the daemon's records and answers stand between.
"""

import re
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from daemon_process import DaemonProcess, until
from origin.answer import Answer
from origin.content import expected_bytes
from origin.origin import Origin

CALLS = "mkdirat,pwritev,pwritev2,pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync,linkat,renameat,unlinkat"
LINE = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\()(?P<rest>.*)")


class Step(msgspec.Struct):
    """One call of interest: what it was for, and the lines of the trace in which it began and was done."""

    what: str
    began: int
    done: int = 0


def what_for(call: str, arguments: str) -> str | None:
    """What a call is for; None for those that are of no interest."""
    match call:
        case "fdatasync" if "records.db-wal>" in arguments:
            return "records"
        case "fsync" | "fdatasync" if ".part>" in arguments:
            return "sync part"
        case "fsync" if "/files/d>" in arguments:
            return "sync directory"
        case "fsync" if "/files>" in arguments:
            return "sync root"
        case "mkdirat" if '"d"' in arguments:
            return "mkdir"
        case "pwritev" | "pwritev2" if ".part>" in arguments:
            return "write part"
        case "linkat" | "unlinkat" | "renameat" if ".part" in arguments:
            return call.removesuffix("at")
        case "write" | "writev" | "sendto" | "sendmsg" if "HTTP/1.1 201" in arguments:
            return "answer"
        case _:
            return None


def steps_of(trace: Path) -> list[Step]:
    """The calls of interest in the order in which they began."""
    steps: list[Step] = []
    under_way: dict[str, Step] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        match = LINE.match(line)
        if match is None:
            continue
        if match["resumed"]:
            step = under_way.pop(match["pid"], None)
            if step is not None:
                step.done = number
            continue
        what = what_for(match["call"], match["rest"])
        if what is not None:
            step = Step(what, number, number)
            steps.append(step)
            if "<unfinished ...>" in line:
                under_way[match["pid"]] = step
    return steps


async def traced(tmp_path: Path, origin: Origin, **parameters: str) -> list[Step]:
    """The steps of one download, from its request to its answer, and to its end."""
    origin.script("/f", Answer(size=100, etag='"v"'))
    trace = tmp_path / "trace"
    strace = ("strace", "-D", "-f", "-y", "-q", "--seccomp-bpf", "-s", "64", "-e", "signal=none", "-o", str(trace))
    async with DaemonProcess(tmp_path, launcher=(*strace, "-e", f"trace={CALLS}")) as daemon:
        begin = len(trace.read_text(errors="replace").splitlines())
        answer = await daemon.start_download("d", origin.url("/f"), **parameters)
        await daemon.ended(answer["download_id"])
        assert daemon.process is not None
        last_line = f"{daemon.process.pid} +++ exited with 0 +++"
        assert await daemon.stop() == 0
        await until(lambda: last_line in re.sub(" +", " ", trace.read_text(errors="replace")))
        assert daemon.files() == {"d/f": expected_bytes(0, 0, 100)}
    return [step for step in steps_of(trace) if step.began >= begin]


def assert_one_after_the_other(steps: list[Step]) -> None:
    """Each is done before the next one begins."""
    for one, following in pairwise(steps):
        assert one.done < following.began, (one, following)


async def test_an_accepted_download_is_on_stable_storage_before_the_answer(tmp_path: Path, origin: Origin) -> None:
    steps = await traced(tmp_path, origin)
    written = next(step for step in steps if step.what == "records")
    answered = next(step for step in steps if step.what == "answer")
    assert written.done < answered.began


@pytest.mark.parametrize(("conflict", "call"), [("rename", "link"), ("overwrite", "rename")])
async def test_bytes_name_and_history_reach_stable_storage_one_after_the_other(
    tmp_path: Path, origin: Origin, conflict: str, call: str
) -> None:
    steps = await traced(tmp_path, origin, conflict=conflict, wait="20")
    first = next(number for number, step in enumerate(steps) if step.what == "mkdir")
    last = next(number for number, step in enumerate(steps) if step.what == "answer")
    path = steps[first : last + 1]
    assert [step.what for step in path] == [
        *("mkdir", "sync root", "write part"),
        # "It is about to get this name": a file that is there after a power cut is never fetched again.
        "records",
        *("sync part", call, "unlink", "sync directory"),
        # "It has it."
        "records",
        "answer",
    ]
    assert_one_after_the_other(path)
