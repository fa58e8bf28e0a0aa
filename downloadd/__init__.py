"""downloadd: an async download daemon."""

__version__ = "0.1.0"
