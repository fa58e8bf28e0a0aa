"""Some seconds of coverage-guided fuzzing of parsers of foreign input; see `targets.py` for longer runs."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# The fuzzer has wheels for these platforms only; hypothesis tests the same properties everywhere.
HAS_FUZZER = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)
TARGETS = Path(__file__).with_name("targets.py")


@pytest.mark.skipif(not HAS_FUZZER, reason="there is no fuzzer for this platform")
@pytest.mark.timeout(240)
def test_a_fuzzer_finds_no_failure(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(TARGETS), "all", "-max_total_time=1", "-max_len=300", "-timeout=30", "-seed=1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-4000:]
    assert ended.stderr.count("DONE") == 9
