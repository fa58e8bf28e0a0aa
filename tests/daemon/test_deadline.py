import subprocess
import sys

from support.waiting import CONDITION_TIMEOUT


def run(script: str) -> tuple[int, str]:
    """Return the exit status and the output of a process, which must end in time."""
    done = subprocess.run(
        [
            sys.executable,
            "-Ic",
            f"import threading, time; from downloadd.daemon.deadline import ExitDeadline\n{script}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=CONDITION_TIMEOUT,
    )
    return done.returncode, done.stdout


SCRIPT_PREFIX = "deadline = ExitDeadline(lambda: print('last words', flush=True))\n"


def test_a_process_that_hangs_is_ended_after_the_callback() -> None:
    assert run(SCRIPT_PREFIX + "deadline.set(0.1, 3)\ntime.sleep(3600)") == (3, "last words\n")


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    hang = "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
    status, _ = run(SCRIPT_PREFIX + hang + "deadline.set(0.1, 0)")
    assert status == 0


def test_a_process_that_ends_in_time_is_not_affected() -> None:
    assert run(SCRIPT_PREFIX + "deadline.set(3600, 3)") == (0, "")


def test_a_later_deadline_replaces_an_earlier_one() -> None:
    status, _ = run(SCRIPT_PREFIX + "deadline.set(0.5, 3)\ndeadline.set(1, 4)\ntime.sleep(3600)")
    assert status == 4


def test_a_deadline_can_be_cancelled() -> None:
    assert run(SCRIPT_PREFIX + "deadline.set(0.5, 3)\ndeadline.cancel()\ntime.sleep(0.7)") == (0, "")


def test_the_process_can_end_at_once() -> None:
    assert run(SCRIPT_PREFIX + "deadline.exit_now(143)") == (143, "last words\n")
