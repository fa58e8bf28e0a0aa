"""Whose turn is it? Accepting, choosing, running, retrying and ending downloads."""
