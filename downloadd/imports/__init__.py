"""Imports of files that name many files: chat exports, tables, lists of URLs and Metalinks."""
