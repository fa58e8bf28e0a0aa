"""A few seconds of coverage-guided fuzzing for what reads strangers' bytes; more by hand, see `targets.py`."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# The fuzzer comes as wheels for these only; hypothesis tests the same promises everywhere.
WHEELS = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)
TARGETS = Path(__file__).with_name("targets.py")


@pytest.mark.skipif(not WHEELS, reason="there is no fuzzer for this platform")
@pytest.mark.parametrize("target", ["fields", "heads", "imports", "names", "urls"])
def test_a_fuzzer_finds_no_broken_promise(tmp_path: Path, target: str) -> None:
    ended = subprocess.run(
        [sys.executable, str(TARGETS), target, "-max_total_time=2", "-max_len=300", "-timeout=5", "-seed=1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-4000:]
    assert "DONE" in ended.stderr
