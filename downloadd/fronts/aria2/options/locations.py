"""Places of files: the options `dir` and `out` as directory and name below the storage root, and back as paths.

Pure: no I/O and no clock.
"""

from downloadd.errors import InvalidPathError
from downloadd.fronts.aria2.options.options import bad_option
from downloadd.storage.names import parse_directory, parse_filename, relative_to_root


def find_directory(text: str, root: str) -> str:
    """Return the directory below the root that `dir` stands for; "" is the root itself.

    Args:
        text: an absolute path, or one relative to the root.
        root: the absolute path of the storage root.

    Raises:
        RpcError: it is outside of the root, or cannot be a directory.
    """
    relative = relative_to_root(text, root) if text.startswith("/") else text
    if relative is None:
        raise bad_option("dir", f"expected {root} or a directory below it, or a path relative to it")
    try:
        return parse_directory(relative)
    except InvalidPathError as error:
        raise bad_option("dir", error.detail) from error


def split_name(text: str, directory: str) -> tuple[str, str]:
    """Return the directory and the name that `out` stands for; a slash in it makes directories below `directory`.

    Raises:
        RpcError: it is absolute, leaves the directory, or cannot be a name.
    """
    if text.startswith("/"):
        raise bad_option("out", "expected a name or a path relative to dir")
    folder, _, name = text.rpartition("/")
    try:
        return parse_directory("/".join(part for part in (directory, folder) if part)), parse_filename(name)
    except InvalidPathError as error:
        raise bad_option("out", error.detail) from error


def join_root(root: str, *parts: str) -> str:
    """Return the absolute path of something below the root; empty parts are left out."""
    return "/".join((root.rstrip("/"), *filter(None, parts))) or "/"
