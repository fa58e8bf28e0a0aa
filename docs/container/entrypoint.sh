#!/bin/sh
# Start the daemon in place of this shell, so that it receives the signals of the engine. $UMASK is its file mode
# creation mask.
set -eu
umask "${UMASK:-0022}"
exec downloadd "$@"
