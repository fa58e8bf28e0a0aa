"""Schedules: each run starts one download, exactly once, over restarts and several nodes."""
