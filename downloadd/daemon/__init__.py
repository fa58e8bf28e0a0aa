"""The daemon as a process: command line, configuration, listeners, signals, service manager."""
