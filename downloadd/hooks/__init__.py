"""Hooks: actions of the administrator when a download has finished."""
