"""Bytes come in: one attempt, from the request to the last byte."""
