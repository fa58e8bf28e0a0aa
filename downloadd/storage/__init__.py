"""Where does it lie? Directories below the root, safe names, part files, and the commit."""
