"""The daemon as a process: flags, signals, the service manager."""
