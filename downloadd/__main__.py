"""`downloadd`, and `python -m downloadd`, start the daemon."""

import signal


def main() -> None:
    """The console script."""
    # To reload what is just being read is no reason to end, which it would be for as long as everything is imported.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from downloadd.daemon.main import main as run

    run()


if __name__ == "__main__":
    main()
