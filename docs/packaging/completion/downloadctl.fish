# Completion of downloadctl for fish, loaded at the first use.
downloadctl completion fish | source
