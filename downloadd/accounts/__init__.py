"""Users that are made while the daemon runs: in the state directory of one daemon, or for all nodes in the records."""
