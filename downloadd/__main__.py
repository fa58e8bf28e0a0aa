"""Start of the daemon by `downloadd` and `python -m downloadd`."""

import signal


def main() -> None:
    """Run the console script."""
    # The default action of SIGHUP ends the process. A reload request during the imports has nothing to reload.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from downloadd.daemon.main import main as run

    run()


if __name__ == "__main__":
    main()
