"""Directories whose files are on another machine: staged on the disk, verified, and sent; one package for each kind."""
