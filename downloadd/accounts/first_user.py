"""First user: created if the configuration names none, with a random token in the state directory."""

import hashlib
import os
import re
import secrets
import shlex
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from downloadd.config import ALL_PERMISSIONS, UserConfig
from downloadd.errors import StartupError
from downloadd.stable_storage import sync_directory

TOKEN_FILE_NAME: Final = "token"  # noqa: S105 - the name of the file
DOWNLOADS_REFUSED: Final = "Downloads are refused: start the daemon with --allow-download to permit them."
_ID_LENGTH: Final = 17
_ID_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
"""Letters and digits without those that look alike."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{32,512}=*")
"""A `b64token` (RFC 6750, section 2.1) that is too long to be guessed."""
_MAX_FILE_BYTES: Final = 1024


class FirstUser(msgspec.Struct, frozen=True, kw_only=True):
    """The first user with its token."""

    user: UserConfig
    token: str
    file: Path
    created: bool
    """True if this call created the token."""

    def __repr__(self) -> str:
        """Return the fields without the token."""
        return f"FirstUser(user={self.user!r}, file={str(self.file)!r}, created={self.created})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the fields without the token."""
        return [("user", self.user), ("file", self.file), ("created", self.created)]


def ensure_first_user(state_dir: Path) -> FirstUser:
    """Return the first user; create its token file (mode 0600) and the directory (mode 0700) if missing. Blocks.

    The file appears complete and on stable storage, or not at all. Two daemons that start at once get the same token.

    Raises:
        StartupError: the file or the directory cannot be used, or others may read the token.
    """
    file = state_dir.absolute() / TOKEN_FILE_NAME
    try:
        created = not file.exists() and _create(file)
    except OSError as error:
        raise _unusable(file, error) from error
    return msgspec.structs.replace(read_first_user(state_dir), created=created)


def read_first_user(state_dir: Path) -> FirstUser:
    """Return the first user without creating anything. Blocks.

    Raises:
        StartupError: the token file is missing or cannot be used, or others may read it.
    """
    file = state_dir.absolute() / TOKEN_FILE_NAME
    try:
        token = _read(file)
    except OSError as error:
        raise _unusable(file, error) from error
    digest = hashlib.sha256(token.encode()).hexdigest()
    user = UserConfig(id=_user_id(digest), token_hash=f"sha256:{digest}", permissions=ALL_PERMISSIONS)
    return FirstUser(user=user, token=token, file=file, created=False)


def find_first_user(state_dir: Path) -> UserConfig | None:
    """Return the first user, who is valid as long as its token file exists; None without one. Blocks.

    Raises:
        StartupError: the token file cannot be used, or others may read the token.
    """
    return read_first_user(state_dir).user if (state_dir / TOKEN_FILE_NAME).exists() else None


def describe_first_user(first: FirstUser, *, url: str, root: str, enabled: bool, show_token: bool = True) -> str:
    """Return the text that the first start prints: the token, its file, and commands that use it at `url`.

    Files are stored below `root`. `enabled` is True if downloads may be started. Without `show_token` the text names
    only the file.
    """
    secret = f"$(cat {shlex.quote(str(first.file))})"
    target = f"'{url}/Downloads?download=https://www.rfc-editor.org/rfc/rfc9110.txt'"
    lines = [
        "No users are configured, so this one was created, with all permissions:",
        "",
        f"  user id   {first.user.id}",
        *([f"  token     {first.token}"] if show_token else []),
        f"  kept in   {first.file}",
        "",
        f"Files are stored below {root}",
        "",
        *(["Open the page in a browser:", "", f"  {url}/#token={first.token}", ""] if show_token else []),
        "Start a download, from this machine or with either kind of header:",
        "",
        "  downloadctl add --watch https://www.rfc-editor.org/rfc/rfc9110.txt",
        f'  curl -H "Authorization: Bearer {secret}" {target}',
        f'  curl -H "X-User-Id: {first.user.id}" -H "X-Auth-Token: {secret}" {target}',
        "",
    ]
    if not enabled:
        lines += [DOWNLOADS_REFUSED, ""]
    return "\n".join(lines)


def _unusable(file: Path, error: OSError) -> StartupError:
    return StartupError(f"the token file {file} cannot be used: {error.strerror or error} (server.state_dir)")


def _create(file: Path) -> bool:
    """Create the token file. Return False if another daemon created it first."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{TOKEN_FILE_NAME}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{secrets.token_urlsafe(32)}\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            # A link never replaces another file; a rename would.
            os.link(temporary, file)
        except FileExistsError:
            return False
    finally:
        os.unlink(temporary)
    sync_directory(file.parent)
    return True


def _read(file: Path) -> str:
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise StartupError(f"the token file {file} is not a regular file; move it away to get a new token")
        if mode & 0o077:
            raise StartupError(
                f"the token file {file} is open to other users (mode {stat.S_IMODE(mode):04o}); "
                "make it private with chmod 600, and remove it to get a new token if another user may have read it"
            )
        content = stream.read(_MAX_FILE_BYTES)
    token = content.removesuffix(b"\n").decode("ascii", "replace")
    if not token:
        raise StartupError(f"the token file {file} is empty; remove it to get a new token")
    if not _TOKEN.fullmatch(token):
        raise StartupError(
            f"the token file {file} does not hold a token (one line of 32 or more letters, digits and -._~+/); "
            "remove it to get a new token"
        )
    return token


def _user_id(token_digest: str) -> str:
    """Return an id that depends on the token alone and does not reveal its hash."""
    number = int.from_bytes(hashlib.sha256(f"user id {token_digest}".encode()).digest())
    letters = []
    for _ in range(_ID_LENGTH):
        number, index = divmod(number, len(_ID_ALPHABET))
        letters.append(_ID_ALPHABET[index])
    return "".join(letters)
