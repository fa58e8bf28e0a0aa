"""Locks of a directory: alone, shared, and those of other daemons."""

import os
import threading
from pathlib import Path

import pytest

from downloadd.storage.root_lock import is_locked, open_locked


@pytest.fixture(autouse=True)
def made(root: Path) -> None:
    root.mkdir()


@pytest.mark.parametrize("is_first_shared", [False, True])
@pytest.mark.parametrize("is_second_shared", [False, True])
def test_only_daemons_that_share_a_directory_use_it_at_once(
    root: Path, is_first_shared: bool, is_second_shared: bool
) -> None:
    first = open_locked(str(root), is_shared=is_first_shared)
    try:
        if is_first_shared and is_second_shared:
            os.close(open_locked(str(root), is_shared=True))
        else:
            with pytest.raises(BlockingIOError):
                open_locked(str(root), is_shared=is_second_shared)
    finally:
        os.close(first)
    os.close(open_locked(str(root), is_shared=is_second_shared))


@pytest.mark.parametrize("is_shared", [False, True])
def test_the_root_of_another_daemon_is_noticed(root: Path, is_shared: bool) -> None:
    found = os.open(root, os.O_RDONLY)
    assert not is_locked(found)
    locked = open_locked(str(root), is_shared=is_shared)
    assert is_locked(found)
    os.close(locked)
    assert not is_locked(found)
    os.close(found)


def test_a_lock_is_waited_for(root: Path) -> None:
    first = open_locked(str(root), is_shared=False)
    opened: list[int] = []
    opening = threading.Thread(target=lambda: opened.append(open_locked(str(root), is_shared=False, timeout=60)))
    opening.start()
    assert not opened
    os.close(first)
    opening.join(60)
    os.close(opened[0])
