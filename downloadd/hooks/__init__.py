"""Hooks: webhooks and programs of the administrator that receive a message when a download has finished."""
