import asyncio
import errno
import hashlib
import os
import resource
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.machine import not_allowed
from support.stopwatch import Stopwatch
from support.waiting import CONDITION_TIMEOUT

from downloadd.errors import (
    FileTooLargeForDiskError,
    InsufficientStorageError,
    InvalidPathError,
    NetworkError,
    SpacePendingError,
    StorageError,
    StorageRootMissingError,
)
from downloadd.origin.byte_sources import CopyingSource, SplicingSource
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import format_part_name, parse_filename
from downloadd.storage.part_file import PartFile

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
DATA = parse_filename("data.csv")
FILE = parse_filename("f")


class BlockedWrites:
    """Replacement of `os.pwritev`: each call waits for `released` and writes only a few bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, at_most: int) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()
        real = os.pwritev

        def pwritev(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
            self.entered.set()
            assert self.released.wait(10)
            return real(fd, [bytes(buffers[0][:at_most])], offset)

        monkeypatch.setattr(os, "pwritev", pwritev)


@pytest.fixture
def blocked_writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockedWrites]:
    blocked_writes = BlockedWrites(monkeypatch, at_most=3)
    yield blocked_writes
    blocked_writes.released.set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        not_allowed("mount a tmpfs")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


async def new_part(
    destination: LocalDestination, directory: str = "", *, epoch: int = 1, existing: str | None = None
) -> PartFile:
    part = await destination.open_part(
        directory=directory, filename=DATA, download_id=ID, epoch=epoch, existing=existing
    )
    if existing is None:
        # An empty write makes the file.
        await part.write([], 0)
    return part


async def wait_until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


async def test_a_new_part_is_empty_hidden_and_private(destination: LocalDestination, root: Path) -> None:
    part = await new_part(destination, "a/b")
    assert part.name == f".data.csv.{ID}.1.part"
    assert part.size == 0
    status = (root / "a/b" / part.name).stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    await part.close()


async def test_the_descriptor_is_not_inherited(destination: LocalDestination, root: Path) -> None:
    part = await new_part(destination)
    fds = [int(fd) for fd in os.listdir("/proc/self/fd")]
    own = [
        fd
        for fd in fds
        if os.path.exists(f"/proc/self/fd/{fd}") and os.path.samefile(f"/proc/self/fd/{fd}", root / part.name)
    ]
    assert [os.get_inheritable(fd) for fd in own] == [False]
    await part.close()


async def test_more_pieces_than_one_call_takes_are_written(destination: LocalDestination, root: Path) -> None:
    pieces = [bytes([n % 251]) for n in range(5000)]
    part = await new_part(destination)
    await part.write(pieces, part.size)
    assert part.size == 5000
    assert (root / part.name).read_bytes() == b"".join(pieces)
    await part.close()


async def test_short_writes_are_continued(
    destination: LocalDestination, root: Path, blocked_writes: BlockedWrites
) -> None:
    blocked_writes.released.set()
    part = await new_part(destination)
    await part.write([b"abcdefgh", b"", b"ij", b"klmnop"], part.size)
    assert (root / part.name).read_bytes() == b"abcdefghijklmnop"
    assert part.size == 16
    await part.close()


async def test_a_part_truncated_by_another_process_has_no_digest(destination: LocalDestination, root: Path) -> None:
    part = await new_part(destination)
    await part.write([b"abc"], part.size)
    os.truncate(root / part.name, 1)
    with pytest.raises(StorageError, match="shorter"):
        await part.digest("md5")
    await part.close()


async def test_a_cancelled_digest_stops_within_a_second(
    destination: LocalDestination, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, blocks, real = threading.Event(), [0], os.preadv

    def preadv(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        blocks[0] += 1
        read = real(fd, buffers, offset)
        begun.set()
        return read

    monkeypatch.setattr(os, "preadv", preadv)
    part = await new_part(destination)
    await part.write([b"x"], part.size)
    # A hole: hashing it all would take many seconds.
    os.truncate(root / part.name, 2**33)
    await part.close()
    part = await new_part(destination, epoch=2, existing=part.name)
    assert part.size == 2**33
    digesting = asyncio.create_task(part.digest("sha-256"))
    await wait_until(begun)
    digesting.cancel()
    watch = Stopwatch()
    with pytest.raises(asyncio.CancelledError):
        await digesting
    await part.close()
    assert watch.seconds < 1
    assert blocks[0] < 2000


async def test_remove_succeeds_when_the_directory_is_missing(destination: LocalDestination, root: Path) -> None:
    part = await new_part(destination, "a")
    (root / "a" / part.name).unlink()
    (root / "a").rmdir()
    await part.remove()


async def test_a_cancelled_write_ends_before_the_descriptor_is_closed(
    destination: LocalDestination, root: Path, blocked_writes: BlockedWrites
) -> None:
    part = await new_part(destination)
    writing = asyncio.create_task(part.write([b"abcdefgh"], 0))
    await wait_until(blocked_writes.entered)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    closing = asyncio.create_task(part.close())
    await asyncio.wait([closing], timeout=0.05)
    assert not closing.done()
    blocked_writes.released.set()
    await closing
    assert part.size == 8
    assert (root / part.name).read_bytes() == b"abcdefgh"


async def test_a_close_that_is_cancelled_before_a_thread_is_free_still_closes(
    destination: LocalDestination, blocked_writes: BlockedWrites
) -> None:
    parts = [await new_part(destination, str(n)) for n in range(20)]
    async with asyncio.TaskGroup() as tasks:
        for part in parts[1:]:
            tasks.create_task(part.write([b"abc"], 0))
        await wait_until(blocked_writes.entered)
        closing = tasks.create_task(parts[0].close())
        # One turn to start the task, one for the task that a shield makes.
        for _ in range(2):
            await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        blocked_writes.released.set()
    for part in parts[1:]:
        await part.close()
    # The fixture checks that the first descriptor is closed.


async def test_the_loop_runs_while_a_write_hangs(destination: LocalDestination, blocked_writes: BlockedWrites) -> None:
    part, other = await new_part(destination), await new_part(destination, "other")
    writing = asyncio.create_task(part.write([b"abc"], 0))
    await wait_until(blocked_writes.entered)
    async with asyncio.timeout(CONDITION_TIMEOUT):
        assert await other.digest("md5") == hashlib.md5(usedforsecurity=False).hexdigest()
        await other.close()
    blocked_writes.released.set()
    await writing
    await part.close()


@pytest.mark.parametrize("epoch", [1, 2], ids=["same name", "other name"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "second name"])
async def test_only_a_regular_file_with_one_name_is_adopted(
    destination: LocalDestination, root: Path, tmp_path: Path, kind: str, epoch: int
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    existing = root / format_part_name(DATA, ID, 1)
    match kind:
        case "link":
            existing.symlink_to(outside)
        case "dangling link":
            existing.symlink_to(tmp_path / "new")
        case "fifo":
            os.mkfifo(existing)
        case _:
            os.link(outside, existing)
    part = await new_part(destination, epoch=epoch, existing=existing.name)
    assert part.size == 0
    await part.write([b"abc"], part.size)
    assert outside.read_bytes() == b"secret"
    assert not (tmp_path / "new").exists()
    assert [entry.name for entry in root.iterdir()] == [part.name]
    assert stat.S_ISREG((root / part.name).lstat().st_mode)
    await part.close()


@pytest.mark.parametrize("kind", ["link", "fifo", "second name"])
@pytest.mark.parametrize("taken_over", [False, True])
async def test_an_entry_replaced_at_the_last_moment_is_not_written_to(
    destination: LocalDestination,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    taken_over: bool,
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    path = root / format_part_name(DATA, ID, 1)
    if taken_over:
        path.touch()
    real = os.open
    slipped_in: list[str] = []

    def open_late(name: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if os.fsencode(name).endswith(b".part") and not slipped_in:
            slipped_in.append(kind)
            path.unlink(missing_ok=True)
            match kind:
                case "link":
                    path.symlink_to(outside)
                case "fifo":
                    os.mkfifo(path)
                case _:
                    os.link(outside, path)
        return real(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_late)
    try:
        part = await new_part(destination, existing=path.name if taken_over else None)
    except (StorageError, InvalidPathError):
        pass
    else:
        await part.write([b"abc"], part.size)
        await part.close()
        assert stat.S_ISREG(path.lstat().st_mode)
    assert slipped_in == [kind]
    assert outside.read_bytes() == b"secret"


async def test_an_adopted_part_is_private_again(destination: LocalDestination, root: Path) -> None:
    existing = root / format_part_name(DATA, ID, 1)
    existing.touch(0o644)
    part = await new_part(destination, epoch=2, existing=existing.name)
    assert stat.S_IMODE((root / part.name).stat().st_mode) == 0o600
    await part.close()


async def test_a_directory_in_place_of_the_part_is_an_invalid_path(destination: LocalDestination, root: Path) -> None:
    (root / format_part_name(DATA, ID, 1)).mkdir()
    with pytest.raises(InvalidPathError, match="a directory has this name"):
        await new_part(destination)


async def test_a_cancelled_adoption_leaves_the_files_unchanged(
    destination: LocalDestination, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing = format_part_name(DATA, ID, 1)
    (root / existing).write_bytes(b"abc")
    arrived, opened, real = threading.Event(), threading.Event(), os.open

    def slow_open(path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if os.fsencode(path).endswith(b".part"):
            arrived.set()
            assert opened.wait(10)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", slow_open)
    opening = asyncio.create_task(new_part(destination, epoch=2, existing=existing))
    await wait_until(arrived)
    opening.cancel()
    await asyncio.sleep(0)
    opened.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert {entry.name: entry.read_bytes() for entry in root.iterdir()} == {existing: b"abc"}


async def test_a_full_disk_keeps_and_counts_the_bytes_that_fitted(small_disk: Path) -> None:
    async with LocalDestination(small_disk / "root", min_free=0, fsync=True) as destination:
        part = await new_part(destination)
        with pytest.raises(InsufficientStorageError) as full:
            await part.write([b"x" * 100_000] * 20, part.size)
        assert 500_000 < part.size <= 1_048_576
        assert part.size == (small_disk / "root" / part.name).stat().st_size
        assert str(small_disk) not in full.value.detail
        with pytest.raises(InsufficientStorageError):
            await destination.check_free_space(1 << 20)
        await part.remove()
        part = await new_part(destination)
        await part.write([b"room again"], part.size)
        assert await part.publish(DATA, replace=False, last_modified=None)
    assert (small_disk / "root" / "data.csv").read_bytes() == b"room again"


async def test_a_limit_of_the_file_size_is_a_lasting_error(destination: LocalDestination, root: Path) -> None:
    part = await new_part(destination)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
    try:
        await part.reserve(150_000, missing=150_000)
        with pytest.raises(FileTooLargeForDiskError, match="RLIMIT_FSIZE"):
            await part.reserve(150_001, missing=150_001)
        with pytest.raises(FileTooLargeForDiskError, match="the file is too large") as caught:
            await part.write([b"x" * 100_000] * 3, part.size)
        assert not caught.value.transient
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert part.size == 150_000 == (root / part.name).stat().st_size
    await part.write([b"y"], 150_000)
    assert (root / part.name).read_bytes()[149_999:] == b"xy"
    await part.close()


async def test_a_file_larger_than_the_file_system_allows_is_refused_before_a_byte_is_written(
    destination: LocalDestination, root: Path
) -> None:
    part = await destination.open_part(directory="", filename=DATA, download_id=ID, epoch=1, existing=None)
    with pytest.raises(FileTooLargeForDiskError):
        await part.reserve(1 << 63, missing=1 << 63)
    assert [path.stat().st_size for path in root.iterdir()] == [0]
    await part.remove()
    assert list(root.iterdir()) == []


@pytest.mark.system
async def test_a_part_reserves_space_until_it_is_closed(small_disk: Path) -> None:
    async with LocalDestination(small_disk / "root", min_free=100_000, fsync=False) as destination:
        first, second = await new_part(destination), await new_part(destination, epoch=2)
        await first.reserve(600_000, missing=600_000)
        with pytest.raises(SpacePendingError, match=r"waits for space on the disk: needs 400 kB, .* kB free"):
            await second.reserve(400_000, missing=400_000)
        await second.reserve(300_000, missing=300_000)
        await first.write([bytes(200_000)], 0)
        assert (await destination.measure_unannounced()).announced == 400_000 + 300_000
        # A second announcement replaces the first.
        await first.reserve(500_000, missing=300_000)
        await second.reserve(400_000, missing=400_000)
        await first.remove()
        assert (await destination.measure_unannounced()).announced == 400_000
        await second.reserve(900_000, missing=900_000)
        with pytest.raises(InsufficientStorageError, match="in all") as too_large:
            await second.reserve(1_000_000, missing=1_000_000)
        assert too_large.value.permanent
        await second.close()
        assert (await destination.measure_unannounced()).announced == 0


async def test_an_announcement_in_a_thread_does_not_outlive_its_part(
    destination: LocalDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = await new_part(destination)
    entered, released, real = threading.Event(), threading.Event(), os.statvfs

    def statvfs(path: Any) -> os.statvfs_result:
        entered.set()
        assert released.wait(10)
        return real(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    reserving = asyncio.create_task(part.reserve(1000, missing=1000))
    await wait_until(entered)
    reserving.cancel()
    await asyncio.wait((reserving,))
    await part.close()
    released.set()
    assert (await destination.measure_unannounced()).announced == 0


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, SplicingSource]]:
    """Return the sending end of a TCP connection, and the other end as a source."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    receiver.setblocking(False)
    source = SplicingSource(receiver.fileno())
    yield sender, source
    source.close()
    sender.close()
    receiver.close()


@pytest.fixture(params=["splice", "copy", "no splice to this file"])
def splice_support(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test with splice(2), without it, and with a file that does not support it."""
    if request.param == "copy":
        monkeypatch.delattr(os, "splice")
    if request.param == "no splice to this file":
        real = os.splice

        def splice(src: int, dst: int, count: int, **options: Any) -> int:
            if "offset_dst" in options:
                raise OSError(errno.EINVAL, "Invalid argument")
            return real(src, dst, count, **options)

        monkeypatch.setattr(os, "splice", splice)


@pytest.mark.usefixtures("splice_support")
async def test_bytes_from_a_socket_are_written_at_their_offset(
    destination: LocalDestination, root: Path, connection: tuple[socket.socket, SplicingSource]
) -> None:
    content = os.urandom(3_000_000)
    part = await new_part(destination)
    await part.write([b"abc"], 0)
    sender, source = connection
    sending = asyncio.create_task(asyncio.to_thread(sender.sendall, content))
    received = 0
    while received < 2_500_000:
        received += (await part.receive(source, 3 + received, 2_500_000 - received)).nbytes
    assert part.size == 2_500_003
    while True:
        moved = await part.receive(source, 3 + received, 1 << 20)
        received += moved.nbytes
        if sending.done():
            sender.close()
        if moved.is_eof:
            break
    assert received == len(content)
    assert (root / part.name).read_bytes() == b"abc" + content
    await part.close()


@pytest.mark.usefixtures("splice_support")
async def test_a_reset_is_reported_after_the_bytes_before_it(
    destination: LocalDestination, root: Path, connection: tuple[socket.socket, SplicingSource]
) -> None:
    part = await new_part(destination)
    sender, source = connection
    sender.sendall(b"abc")
    assert (await part.receive(source, 0, 10)).nbytes == 3
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sender.close()
    with pytest.raises(NetworkError):
        await part.receive(source, 3, 10)
    assert (root / part.name).read_bytes() == b"abc"
    await part.close()


@pytest.mark.usefixtures("splice_support")
async def test_an_idle_socket_blocks_no_thread_for_long(
    destination: LocalDestination, connection: tuple[socket.socket, SplicingSource]
) -> None:
    part = await new_part(destination)
    sender, source = connection
    moved = await asyncio.wait_for(part.receive(source, 0, 10), CONDITION_TIMEOUT)
    assert (moved.nbytes, moved.is_eof, part.size) == (0, False, 0)
    sender.close()
    await part.close()


async def test_copied_bytes_are_hashed_while_they_are_written(
    destination: LocalDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = await new_part(destination)
    part.hash_while_writing(["sha-256"])
    sender, receiver = socket.socketpair()
    with sender, receiver:
        receiver.setblocking(False)
        sender.sendall(b"abcdef")
        assert (await part.receive(CopyingSource(receiver), 0, 6)).nbytes == 6
    monkeypatch.setattr(os, "preadv", None)
    assert await part.digest("sha-256") == hashlib.sha256(b"abcdef").hexdigest()
    await part.close()


async def test_several_connections_write_at_once(
    destination: LocalDestination,
    root: Path,
    blocked_writes: BlockedWrites,
    connection: tuple[socket.socket, SplicingSource],
) -> None:
    part = await new_part(destination)
    writing = asyncio.create_task(part.write([b"abc"], 0))
    await wait_until(blocked_writes.entered)
    sender, source = connection
    sender.sendall(b"def")
    assert (await part.receive(source, 3, 3)).nbytes == 3
    assert not writing.done()
    blocked_writes.released.set()
    await writing
    assert (root / part.name).read_bytes() == b"abcdef"
    sender.close()
    await part.close()


async def test_an_error_of_an_early_sync_fails_the_publication(
    destination: LocalDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fdatasync(fd: int) -> None:
        failed.set()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    part = await new_part(destination)
    await part.write([bytes(1 << 20)] * 32, 0)
    await wait_until(failed)
    with pytest.raises(StorageError):
        await part.publish(DATA, replace=False, last_modified=None)
    await part.close()


@pytest.mark.parametrize("back", ["another root", "the same root", "no root"])
async def test_a_part_is_written_and_published_only_in_the_root_where_it_was_opened(
    destination: LocalDestination, root: Path, back: str
) -> None:
    part = await new_part(destination, "a")
    await part.write([b"abc"], 0)
    root.rename(root.with_name("away of root"))
    if back == "another root":
        (root / "a").mkdir(parents=True)
    for use in (
        lambda: part.write([b"def"], 3),
        lambda: part.publish(FILE, replace=False, last_modified=None),
        lambda: new_part(destination, "b") if back == "no root" else part.publish(FILE, replace=True, last_modified=1),
    ):
        with pytest.raises(StorageRootMissingError):
            await use()
    if back == "another root":
        assert [path.name for path in root.rglob("*")] == ["a"]
    # Its bytes can still be synced: the root may be mounted again.
    await part.sync()
    assert part.size == 3
    if back == "the same root":
        root.with_name("away of root").rename(root)
        await part.write([b"def"], 3)
        assert await part.publish(FILE, replace=False, last_modified=None)
        assert (root / "a" / "f").read_bytes() == b"abcdef"
    await part.close()


async def test_a_part_of_another_root_starts_over(destination: LocalDestination, root: Path) -> None:
    lost = await new_part(destination, "a")
    await lost.write([b"abc"], 0)
    root.rename(root.with_name("away of root"))
    root.mkdir()
    part = await new_part(destination, "a", epoch=2, existing=lost.name)
    assert (part.size, [path.name for path in (root / "a").iterdir()]) == (0, [part.name])
    await lost.close()
    await part.close()


async def test_a_copy_that_does_not_fit_is_refused(root: Path) -> None:
    async with LocalDestination(root, min_free=0, fsync=False) as destination:
        source = await new_part(destination)
        await source.write([b"abc"], 0)
        await source.close()
    async with LocalDestination(root, min_free=2**62, fsync=False) as destination:
        source = await new_part(destination, epoch=2, existing=source.name)
        copy = await destination.open_part(directory="", filename=DATA, download_id=ID, epoch=3, existing=None)
        with pytest.raises(InsufficientStorageError, match="3 bytes are needed"):
            await copy.copy(source, [(0, 3)])
        assert copy.size == 0
        await source.close()
        await copy.close()


async def test_a_long_range_is_copied_by_several_calls(
    destination: LocalDestination, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.storage.part_file.MAX_COPY_BYTES", 1000)
    source, copy = await new_part(destination), await new_part(destination, epoch=2)
    content = os.urandom(9_500)
    await source.write([content], 0)
    await copy.copy(source, [(100, 9_400)])
    assert (root / copy.name).read_bytes() == bytes(100) + content[100:9_400]
    await source.close()
    await copy.close()
