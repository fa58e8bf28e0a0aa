import subprocess
import sys
import time


def run(script: str) -> tuple[int, str, float]:
    """Exit status, output and seconds of a process."""
    start = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-Ic",
            f"import threading, time; from downloadd.daemon.deadline import ExitDeadline\n{script}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout, time.monotonic() - start


SCRIPT_PREFIX = "deadline = ExitDeadline(lambda: print('last words', flush=True))\n"


def test_a_process_that_hangs_is_ended_after_the_callback() -> None:
    status, output, seconds = run(SCRIPT_PREFIX + "deadline.set(0.1, 3)\ntime.sleep(20)")
    assert (status, output) == (3, "last words\n")
    assert seconds < 15


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    hang = "threading.Thread(target=time.sleep, args=(20,)).start()\n"
    status, _, seconds = run(SCRIPT_PREFIX + hang + "deadline.set(0.1, 0)")
    assert status == 0
    assert seconds < 15


def test_a_process_that_ends_in_time_is_not_affected() -> None:
    status, output, seconds = run(SCRIPT_PREFIX + "deadline.set(20, 3)")
    assert (status, output) == (0, "")
    assert seconds < 15


def test_a_later_deadline_replaces_an_earlier_one() -> None:
    status, _, _ = run(SCRIPT_PREFIX + "deadline.set(0.1, 3)\ndeadline.set(0.3, 4)\ntime.sleep(20)")
    assert status == 4


def test_a_deadline_can_be_cancelled() -> None:
    status, output, _ = run(SCRIPT_PREFIX + "deadline.set(0.1, 3)\ndeadline.cancel()\ntime.sleep(0.3)")
    assert (status, output) == (0, "")


def test_the_process_can_end_at_once() -> None:
    status, output, _ = run(SCRIPT_PREFIX + "deadline.exit_now(143)")
    assert (status, output) == (143, "last words\n")
