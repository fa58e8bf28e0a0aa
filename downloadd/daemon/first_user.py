"""The first user: made when the configuration names none, with a random token kept in the state directory."""

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

TOKEN_FILE_NAME: Final = "token"  # noqa: S105 - the name of the file
_ID_LENGTH: Final = 17
_ID_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
"""Letters and digits that nobody mistakes for each other."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{32,512}=*")
"""A `b64token` (RFC 6750, section 2.1) too long to be guessed."""
_MAX_FILE_BYTES: Final = 1024


class FirstUser(msgspec.Struct, frozen=True, kw_only=True):
    """The user, and where the token is."""

    user: UserConfig
    token: str
    file: Path
    created: bool
    """Whether the call that gave it has made it."""

    def __repr__(self) -> str:
        """Leaves the token out."""
        return f"FirstUser(user={self.user!r}, file={str(self.file)!r}, created={self.created})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Leaves the token out."""
        return [("user", self.user), ("file", self.file), ("created", self.created)]


def ensure_first_user(state_dir: Path) -> FirstUser:
    """Reads the first user's token, or makes one (file mode 0600; directory mode 0700 if it is missing). Blocks.

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
    """Reads the first user's token, and makes nothing. Blocks.

    Raises:
        StartupError: there is none, its file cannot be used, or others may read the token.
    """
    file = state_dir.absolute() / TOKEN_FILE_NAME
    try:
        token = _read(file)
    except OSError as error:
        raise _unusable(file, error) from error
    digest = hashlib.sha256(token.encode()).hexdigest()
    user = UserConfig(id=_user_id(digest), token_hash=f"sha256:{digest}", permissions=ALL_PERMISSIONS)
    return FirstUser(user=user, token=token, file=file, created=False)


def describe_first_user(first: FirstUser, *, url: str, allow: bool, show_token: bool = True) -> str:
    """What is printed once: the token, where it is kept, and how to use it at `url`.

    `allow` is whether downloads may be started; without `show_token` it says only where the token is.
    """
    secret = f"$(cat {shlex.quote(str(first.file))})"
    target = f"'{url}/Downloads?download=https://www.rfc-editor.org/rfc/rfc9110.txt'"
    lines = [
        "No users are configured, so this one was made, with all permissions:",
        "",
        f"  user id   {first.user.id}",
        *([f"  token     {first.token}"] if show_token else []),
        f"  kept in   {first.file}",
        "",
        *(["Look at it in a browser:", "", f"  {url}/#token={first.token}", ""] if show_token else []),
        "Start a download, from this machine or with either kind of header:",
        "",
        "  downloadctl add --watch https://www.rfc-editor.org/rfc/rfc9110.txt",
        f'  curl -H "Authorization: Bearer {secret}" {target}',
        f'  curl -H "X-User-Id: {first.user.id}" -H "X-Auth-Token: {secret}" {target}',
        "",
    ]
    if not allow:
        lines += ["Downloads are not allowed yet: start with --allow-download for that.", ""]
    return "\n".join(lines)


def _unusable(file: Path, error: OSError) -> StartupError:
    return StartupError(f"the token file {file} cannot be used: {error.strerror or error}")


def _create(file: Path) -> bool:
    """Whether the file was made by this call and not by another daemon meanwhile."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{TOKEN_FILE_NAME}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{secrets.token_urlsafe(32)}\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            # A link never takes the place of another file, as a rename would.
            os.link(temporary, file)
        except FileExistsError:
            return False
    finally:
        os.unlink(temporary)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def _read(file: Path) -> str:
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise StartupError(f"the token file {file} is no regular file; move it away to get a new token")
        if mode & 0o077:
            raise StartupError(
                f"the token file {file} is open to other users (mode {stat.S_IMODE(mode):04o}); "
                "make it private with chmod 600, and remove it to get a new token if somebody may have read it"
            )
        content = stream.read(_MAX_FILE_BYTES)
    token = content.removesuffix(b"\n").decode("ascii", "replace")
    if not token:
        raise StartupError(f"the token file {file} is empty; remove it to get a new token")
    if not _TOKEN.fullmatch(token):
        raise StartupError(
            f"the token file {file} holds no token (one line of 32 or more letters, digits and -._~+/); "
            "remove it to get a new token"
        )
    return token


def _user_id(token_digest: str) -> str:
    """An id that stays the same with the token and tells nothing about its hash."""
    number = int.from_bytes(hashlib.sha256(f"user id {token_digest}".encode()).digest())
    letters = []
    for _ in range(_ID_LENGTH):
        number, index = divmod(number, len(_ID_ALPHABET))
        letters.append(_ID_ALPHABET[index])
    return "".join(letters)
