"""`python -m downloadd` starts the daemon."""

from downloadd.daemon.main import main

if __name__ == "__main__":
    main()
