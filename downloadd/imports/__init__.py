"""Files that name many files: exports of chat workspaces, tables, lists of URLs and Metalinks."""
