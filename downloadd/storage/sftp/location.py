"""Place of files on an SFTP server: user, host, port and directory.

Pure: no I/O and no clock.
"""

import re
from typing import Final

import msgspec

DEFAULT_PORT: Final = 22
MAX_PATH_BYTES: Final = 4095
"""Bytes of a path on Linux and most other systems, without its end."""

_URL: Final = re.compile(
    r"sftp://(?P<user>[^\x00-\x20\x7f/:@]{1,64})@(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<directory>/[^\x00-\x1f\x7f]*)?"
)


class SftpLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Directory of an SFTP server, and the user who may write there."""

    user: str
    host: str
    """Name or address; an IPv6 address without brackets."""
    port: int = DEFAULT_PORT
    directory: str
    """Absolute; without a slash at its end unless it is the root."""

    @property
    def url(self) -> str:
        """The URL with the scheme sftp."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"sftp://{self.user}@{host}{port}{self.directory}"

    def key_of(self, path: str) -> str:
        """Return the path of a file or directory on the server, for a path below the directory of the storage."""
        return f"{self.directory.rstrip('/')}/{path}".rstrip("/") or "/"


def parse_sftp_url(text: str) -> SftpLocation:
    """Return the location for a URL with the scheme sftp.

    Raises:
        ValueError: it is malformed; the message says how it must be.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError(
            "expected sftp://USER@HOST/DIRECTORY or sftp://USER@HOST:PORT/DIRECTORY; a password has a key of its own"
        )
    port = int(match["port"] or DEFAULT_PORT)
    if not 0 < port < 65536:
        raise ValueError("the port must be 1 to 65535")
    segments = [segment for segment in (match["directory"] or "").split("/") if segment]
    if not {".", "..", "~"}.isdisjoint(segments):
        raise ValueError("the directory must be absolute, without the segments . and .. and ~")
    directory = f"/{'/'.join(segments)}"
    if len(directory.encode()) > MAX_PATH_BYTES // 4:
        raise ValueError(f"the directory is longer than {MAX_PATH_BYTES // 4} bytes")
    return SftpLocation(user=match["user"], host=match["host"].strip("[]").lower(), port=port, directory=directory)
