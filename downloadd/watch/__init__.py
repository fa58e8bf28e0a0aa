"""Watch folders: import files that other programs put into a directory become imports."""
