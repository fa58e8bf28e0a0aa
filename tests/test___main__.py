"""Start of the console script."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from downloadd import __main__ as console_script


@pytest.fixture
def hangup_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup_handler")
def test_a_reload_request_during_the_start_does_not_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[object] = []
    monkeypatch.setattr(console_script, "_import_structlog", lambda: None)
    monkeypatch.setattr("downloadd.daemon.main.main", lambda: handlers.append(signal.getsignal(signal.SIGHUP)))
    console_script.main()
    assert handlers == [signal.SIG_IGN]


def test_structlog_is_imported_without_rich_which_others_may_import_afterwards() -> None:
    code = (
        "import sys; from downloadd.__main__ import _import_structlog as run; run();"
        "from structlog import dev; print('rich' in sys.modules, dev.rich); import rich; print(rich.__name__)"
    )
    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False None\nrich\n"
