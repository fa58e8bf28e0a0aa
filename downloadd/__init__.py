"""downloadd: an async download daemon."""

__version__ = "0.2.0"
