"""`downloadctl`: the daemon from a terminal and from scripts."""
