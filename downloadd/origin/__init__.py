"""Requests to origins: what they state, and what their responses ask for."""
