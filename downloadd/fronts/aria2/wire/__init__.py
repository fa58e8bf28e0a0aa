"""Formats of messages: bytes to calls and outcomes to bytes, as aria2 writes them; a bad message gets its error."""
