"""Admission, scheduling, runs, retries and ends of downloads."""
