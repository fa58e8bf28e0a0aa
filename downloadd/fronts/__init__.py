"""Interfaces to clients: each translates requests to calls of the service, and results to its own format."""
