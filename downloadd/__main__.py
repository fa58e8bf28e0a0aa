"""Start of the daemon by `downloadd` and `python -m downloadd`."""

import signal
import sys


def main() -> None:
    """Run the console script."""
    # The default action of SIGHUP ends the process. A reload request during the imports has nothing to reload.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _import_structlog()
    from downloadd.daemon.main import main as run

    run()


def _import_structlog() -> None:
    """Import structlog without rich, which it uses for tracebacks on consoles: the daemon does not need it.

    The import takes 60 ms and 5 MiB.
    """
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401 - for its effect

    del sys.modules["rich"]


if __name__ == "__main__":
    main()
