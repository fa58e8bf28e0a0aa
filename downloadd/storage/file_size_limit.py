"""Largest file that the file system and the limits of the process allow."""

import errno
import os
import resource
from typing import Final

from downloadd.errors import FileTooLargeForDiskError

SMALLEST_FILE_SYSTEM_LIMIT: Final = 2**31 - 1
"""Bytes; each file system takes a file of this size."""


def check_process_limit(size: int) -> None:
    """Check that this process may write a file of `size` bytes.

    Raises:
        FileTooLargeForDiskError: the limit (RLIMIT_FSIZE) is lower.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and size > limit:
        raise FileTooLargeForDiskError(
            f"the file of {size} bytes is too large for the limit of the process, {limit} bytes (RLIMIT_FSIZE)"
        )


def check_file_system_limit(fd: int, size: int) -> None:
    """Check that the file system of an open file takes one of `size` bytes, as far as it says so.

    The file is not changed: a seek beyond the largest size is refused (lseek(2), EINVAL), while a preallocation would
    write zeros on a file system without sparse files, and would leave a file that looks complete after a crash.

    Raises:
        FileTooLargeForDiskError: it does not.
    """
    if size <= SMALLEST_FILE_SYSTEM_LIMIT:
        return
    try:
        os.lseek(fd, size, os.SEEK_SET)
    except OverflowError:
        pass
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOVERFLOW, errno.EFBIG}:
            raise
    else:
        return
    raise FileTooLargeForDiskError(f"the file of {size} bytes is too large for the file system of the storage")
