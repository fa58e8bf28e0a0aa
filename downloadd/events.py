"""What happened, for everybody who watches: event structs and the bus that carries them.

Pure structs and queues; no I/O.
"""

import msgspec

from downloadd.download import Download, Snapshot


class DownloadChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An active download started, moved or changed its state."""

    snapshot: Snapshot


class DownloadEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A download went to history."""

    download: Download


Event = DownloadChanged | DownloadEnded
