"""Directories below the storage root, safe names, part files and their publication."""
