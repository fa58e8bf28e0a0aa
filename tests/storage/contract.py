"""Contract of `Destination`, `Part` and `SmallFileStorage`, as tests.

An implementation is tested by a subclass of `DestinationContract`, and of `SmallFileContract` if it holds small files,
named `Test…`, in a module that has a fixture `destination` (empty, open, without a limit of space).
"""

import asyncio
import hashlib
import socket
from collections.abc import Sequence
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from downloadd.directory_settings import Quota
from downloadd.download import Conflict
from downloadd.errors import (
    DownloadError,
    FileChangedError,
    FileExistsAlreadyError,
    FileTooLargeForDiskError,
    InvalidPathError,
    NetworkError,
    StorageError,
)
from downloadd.origin.byte_sources import CopyingSource
from downloadd.storage.destination import Destination, LinkResult, Part, PartEntry, SmallFile
from downloadd.storage.names import MIN_NAME_BYTES, SafeName, format_part_name, parse_filename
from downloadd.verify import ALGORITHMS

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
FILE = parse_filename("f")
OTHER = parse_filename("g")


async def open_part(
    destination: Destination,
    content: bytes | None = None,
    *,
    directory: str = "d",
    download_id: str = ID,
    epoch: int = 1,
    existing: str | None = None,
    restart: int = 0,
) -> Part:
    """Return an open part, with `content` if it is given."""
    part = await destination.open_part(
        directory=directory, filename=FILE, download_id=download_id, epoch=epoch, existing=existing, restart=restart
    )
    if content is not None:
        await part.write([content], 0)
    return part


async def content_of(destination: Destination, filename: SafeName = FILE, directory: str = "d") -> bytes:
    """Return the content of a final file."""
    return b"".join([piece async for piece in destination.read_file(directory=directory, filename=filename)])


async def publish(
    destination: Destination, content: bytes, filename: SafeName = FILE, *, directory: str = "d"
) -> str | None:
    """Publish a file, which replaces another one; return its identity."""
    part = await open_part(destination, content, directory=directory, download_id=str(uuid4()))
    assert await part.publish(filename, replace=True, last_modified=None)
    return part.file_identity


async def download(destination: Destination, content: bytes, conflict: Conflict) -> str | None:
    """Store one file as a run does it; return its name."""
    part = await open_part(destination, content, download_id=str(uuid4()))
    try:
        while (name := await destination.reserve_name(directory="d", filename=FILE, conflict=conflict)) is not None:
            is_published = await part.publish(name, replace=conflict is Conflict.OVERWRITE, last_modified=None)
            destination.release_name(directory="d", filename=name)
            if is_published:
                return name
        return None
    finally:
        await part.remove()


async def listed(destination: Destination) -> list[PartEntry]:
    """Return all parts that are not open."""
    return [part async for chunk in destination.list_parts() for part in chunk]


async def held(destination: Destination, content: bytes, *, directory: str = "d") -> Part:
    """Return a part whose bytes are in memory only."""
    part = await open_part(destination, directory=directory, download_id=str(uuid4()))
    await part.write([content[:1], memoryview(content)[1:]], 0, is_last=True)
    assert part.is_held
    return part


def small_file(destination: Destination, part: Part, filename: SafeName = FILE) -> SmallFile:
    """Return the held bytes of a part as a file to be published."""
    return destination.small_files.make(part, filename, last_modified=None)


class DestinationContract:
    """Promises of every storage; see `SmallFileContract` for those that hold small files in memory."""

    # bytes of a part

    async def test_a_new_part_is_empty(self, destination: Destination) -> None:
        part = await open_part(destination)
        assert (part.size, part.synced, part.is_held, part.file_identity) == (0, 0, False, None)
        assert await part.read(0, 9) == b""
        await part.remove()

    # Each storage that has the contract is an executor of its own.
    @settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
        max_examples=20,
        deadline=None,
    )
    @given(writes=st.lists(st.lists(st.binary(max_size=50), max_size=8), max_size=5), epoch=st.integers(1, 10**9))
    async def test_all_pieces_are_written_in_order(
        self, destination: Destination, writes: list[list[bytes]], epoch: int
    ) -> None:
        part = await open_part(destination, epoch=epoch)
        for pieces in writes:
            await part.write(pieces, part.size)
        content = b"".join(piece for pieces in writes for piece in pieces)
        assert part.size == len(content)
        assert await part.read(0, len(content) + 9) == content
        assert await part.digest("sha-256") == hashlib.sha256(content).hexdigest()
        await part.remove()

    async def test_several_writers_write_at_their_offsets(self, destination: Destination) -> None:
        part = await open_part(destination)
        await asyncio.gather(*(part.write([bytes([n]) * 1000], n * 1000) for n in reversed(range(20))))
        assert part.size == 20_000
        assert await part.read(0, 20_000) == b"".join(bytes([n]) * 1000 for n in range(20))
        assert await part.read(19_999, 9) == b"\x13"
        await part.remove()

    async def test_bytes_are_received_from_a_connection_until_its_end(self, destination: Destination) -> None:
        part = await open_part(destination, b"abc")
        sender, receiver = socket.socketpair()
        with sender, receiver:
            receiver.setblocking(False)
            source = CopyingSource(receiver)
            sender.sendall(b"defgh")
            assert (await part.receive(source, 3, 3)).nbytes == 3
            moved = await part.receive(source, 6, 9)
            assert (moved.nbytes, part.size) == (2, 8)
            sender.close()
            moved = await part.receive(source, 8, 9)
            assert (moved.nbytes, moved.is_eof) == (0, True)
        assert await part.read(0, 9) == b"abcdefgh"
        await part.remove()

    async def test_a_broken_connection_is_an_error_of_the_network(self, destination: Destination) -> None:
        part = await open_part(destination, b"abc")
        with socket.create_server(("127.0.0.1", 0)) as server:
            sender = socket.create_connection(server.getsockname())
            receiver, _ = server.accept()
        with receiver:
            receiver.setblocking(False)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sender.close()
            with pytest.raises(NetworkError):
                await part.receive(CopyingSource(receiver), 3, 9)
        assert await part.read(0, 9) == b"abc"
        await part.remove()

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("is_ahead", [False, True])
    async def test_the_digest_is_that_of_all_bytes(
        self, destination: Destination, algorithm: str, is_ahead: bool
    ) -> None:
        content = bytes(range(256)) * 5_000
        part = await open_part(destination)
        if is_ahead:
            part.hash_while_writing([algorithm])
        for start in range(0, len(content), 500_000):
            await part.write([content[start : start + 500_000]], start)
        assert await part.digest(algorithm) == hashlib.new(ALGORITHMS[algorithm], content).hexdigest()
        await part.remove()

    async def test_bytes_are_on_stable_storage_after_a_sync(self, destination: Destination) -> None:
        part = await open_part(destination, b"abc")
        await part.sync()
        assert part.synced == 3
        await part.write([b"d"], 3)
        part.start_sync()
        async with asyncio.timeout(30):
            while part.synced < 4:
                await asyncio.sleep(0.001)
        await part.remove()

    async def test_a_closed_part_keeps_its_bytes_and_takes_no_more(self, destination: Destination) -> None:
        part = await open_part(destination, b"abc")
        await asyncio.gather(part.close(), part.close())
        await part.close()
        with pytest.raises(RuntimeError, match="closed"):
            await part.write([b"d"], 3)
        again = await open_part(destination, existing=part.name)
        assert (again.name, again.size, await again.read(0, 9)) == (part.name, 3, b"abc")
        await again.remove()

    @pytest.mark.parametrize("is_closed", [False, True])
    async def test_a_removed_part_is_gone_and_may_be_removed_again(
        self, destination: Destination, is_closed: bool
    ) -> None:
        part = await open_part(destination, b"abc")
        if is_closed:
            await part.close()
        assert await destination.has_part(directory="d", name=part.name)
        await part.remove()
        await part.remove()
        await part.close()
        assert not await destination.has_part(directory="d", name=part.name)
        assert await listed(destination) == []

    async def test_a_copy_has_ranges_of_another_part_and_not_its_later_bytes(self, destination: Destination) -> None:
        source = await open_part(destination, b"0123456789")
        copy = await open_part(destination, restart=1)
        await copy.copy(source, [(0, 2), (4, 6), (8, 30)])
        await source.write([b"x" * 20], 0)
        assert copy.size == 10
        assert await copy.read(0, 20) == b"01\0\x0045\0\x0089"
        await copy.copy(source, [])
        await copy.copy(source, [(30, 40)])
        assert copy.size == 10
        await copy.remove()
        assert await source.read(0, 30) == b"x" * 20
        await source.remove()

    # space

    async def test_a_part_reserves_space_until_it_is_closed(self, destination: Destination) -> None:
        part = await open_part(destination)
        await part.reserve(5_000, missing=5_000)
        assert (await destination.measure_unannounced()).announced == 5_000
        await part.write([bytes(2_000)], 0)
        assert (await destination.measure_unannounced()).announced == 3_000
        await part.remove()
        assert (await destination.measure_unannounced()).announced == 0

    async def test_a_file_that_no_storage_takes_is_refused(self, destination: Destination) -> None:
        part = await open_part(destination)
        with pytest.raises(FileTooLargeForDiskError):
            await part.reserve(1 << 63, missing=1 << 63)
        await part.remove()

    async def test_the_use_of_the_storage_and_of_directories_is_measured(self, destination: Destination) -> None:
        await destination.check_free_space(1)
        assert (await destination.measure_unannounced()).available > 0
        await publish(destination, b"abc")
        part = await open_part(destination, b"de", directory="d/e")
        await part.close()
        usage = await destination.measure_use([Quota(directory="d", limit=7), Quota(directory="x", limit=8)])
        assert 0 < usage.free <= usage.size
        assert [(quota.directory, quota.used, quota.limit) for quota in usage.quotas] == [("d", 5, 7), ("x", 0, 8)]

    # parts of several runs

    async def test_a_part_is_found_and_removed_by_its_name(self, destination: Destination) -> None:
        part = await open_part(destination, b"abc")
        # The sweep must not remove it.
        assert await listed(destination) == []
        await part.close()
        assert await listed(destination) == [PartEntry(directory="d", name=part.name, download_id=ID, epoch=1)]
        for _ in range(2):
            await destination.remove_part(directory="d", name=part.name)
            assert not await destination.has_part(directory="d", name=part.name)
        assert await listed(destination) == []
        await destination.remove_part(directory="missing/below", name=part.name)

    async def test_a_later_run_continues_the_part_and_the_earlier_one_cannot_publish_it(
        self, destination: Destination
    ) -> None:
        late = await open_part(destination, b"abc")
        part = await open_part(destination, epoch=2, existing=late.name)
        assert part.name != late.name
        assert part.size == 3
        await part.write([b"def"], 3)
        for replace in (False, True):
            with pytest.raises(DownloadError):
                await late.publish(FILE, replace=replace, last_modified=None)
        await late.remove()
        assert not await destination.exists(directory="d", filename=FILE)
        assert await part.publish(FILE, replace=False, last_modified=None)
        assert await content_of(destination) == b"abcdef"

    async def test_a_missing_part_makes_an_empty_one(self, destination: Destination) -> None:
        part = await open_part(destination, epoch=2, existing=format_part_name(FILE, ID, 1))
        assert part.size == 0
        assert await destination.has_part(directory="d", name=part.name)
        await part.remove()

    async def test_a_new_part_replaces_one_of_the_same_run(self, destination: Destination) -> None:
        left = await open_part(destination, b"left")
        await left.close()
        part = await open_part(destination, b"abc")
        assert (part.name, await part.read(0, 9)) == (left.name, b"abc")
        await part.remove()

    async def test_a_part_that_a_killed_run_adopted_without_recording_it_is_found(
        self, destination: Destination
    ) -> None:
        first = await open_part(destination, b"kept")
        await first.close()
        killed = await open_part(destination, epoch=2, existing=first.name)
        await killed.close()
        # The row still names the part of epoch 1.
        part = await open_part(destination, epoch=4, existing=first.name)
        assert part.size == 4
        await part.close()
        assert [entry.name for entry in await listed(destination)] == [part.name]

    async def test_a_run_that_starts_over_writes_a_new_part_beside_the_old_one(self, destination: Destination) -> None:
        first = await open_part(destination, b"abc")
        second = await open_part(destination, b"xy", restart=1)
        assert first.name != second.name
        assert (await first.read(0, 9), await second.read(0, 9)) == (b"abc", b"xy")
        await first.close()
        await second.close()
        # The next run goes back to the old one; the other may have been adopted under its epoch meanwhile.
        current = await open_part(destination, epoch=2, existing=second.name)
        back = await open_part(destination, epoch=2, existing=first.name, restart=1)
        assert (await current.read(0, 9), await back.read(0, 9)) == (b"xy", b"abc")
        await current.close()
        await back.close()
        gone = await open_part(destination, epoch=3, existing=first.name, restart=2)
        assert gone.size == 0
        await gone.remove()

    @pytest.mark.parametrize("name", ["data.csv", "../x", f"../.data.csv.{ID}.1.part", f".\ud800.{ID}.1.part", ""])
    async def test_only_names_of_parts_are_adopted_or_removed(self, destination: Destination, name: str) -> None:
        await publish(destination, b"precious", parse_filename("data.csv"))
        with pytest.raises(InvalidPathError):
            await open_part(destination, existing=name)
        for use in (destination.remove_part, destination.has_part):
            with pytest.raises(InvalidPathError):
                await use(directory="d", name=name)
        assert await content_of(destination, parse_filename("data.csv")) == b"precious"

    @pytest.mark.parametrize("download_id", ["", "../../x", "not-a-uuid", f"a/{ID}"])
    async def test_a_part_needs_a_uuid_as_download_id(self, destination: Destination, download_id: str) -> None:
        with pytest.raises(InvalidPathError, match="not the name of a part file"):
            await open_part(destination, download_id=download_id)

    @pytest.mark.parametrize("directory", ["..", "a/../../b", "\udcff"])
    async def test_a_directory_outside_of_the_storage_is_refused(
        self, destination: Destination, directory: str
    ) -> None:
        for use in (
            lambda: open_part(destination, directory=directory),
            lambda: destination.exists(directory=directory, filename=FILE),
            lambda: destination.reserve_name(directory=directory, filename=FILE, conflict=Conflict.OVERWRITE),
            lambda: destination.max_name_bytes(directory=directory),
            lambda: destination.can_rename(directory="", to=directory),
            lambda: destination.check_directory(directory=directory),
            lambda: destination.remove_file(directory=directory, filename=FILE, identity=None, checksum=None),
            lambda: destination.is_published(
                directory=directory, filename=FILE, total=0, part_name=None, identity=None
            ),
        ):
            with pytest.raises(InvalidPathError):
                await use()

    # publication

    async def test_a_published_part_is_closed_and_has_its_final_name_only(self, destination: Destination) -> None:
        part = await open_part(destination, b"abc")
        assert not await destination.exists(directory="d", filename=FILE)
        assert await part.publish(FILE, replace=False, last_modified=1_000_000_000)
        assert part.file_identity is not None
        assert await destination.exists(directory="d", filename=FILE)
        assert not await destination.has_part(directory="d", name=part.name)
        await part.remove()
        assert await content_of(destination) == b"abc"
        with pytest.raises(RuntimeError, match="closed"):
            await part.write([b"d"], 3)

    async def test_an_empty_file_is_published(self, destination: Destination) -> None:
        part = await open_part(destination)
        assert await part.publish(FILE, replace=False, last_modified=None)
        assert await content_of(destination) == b""

    async def test_a_taken_name_is_replaced_only_on_request(self, destination: Destination) -> None:
        await publish(destination, b"first")
        part = await open_part(destination, b"second")
        assert not await part.publish(FILE, replace=False, last_modified=None)
        assert (part.file_identity, await content_of(destination)) == (None, b"first")
        await part.write([b"!"], 6)
        assert await part.publish(FILE, replace=True, last_modified=None)
        assert await content_of(destination) == b"second!"

    @pytest.mark.parametrize("replace", [False, True])
    async def test_a_part_is_published_in_another_directory(self, destination: Destination, replace: bool) -> None:
        assert await destination.can_rename(directory="d", to="new/below")
        await publish(destination, b"other", directory="new/below")
        part = await open_part(destination, b"abc")
        assert not await part.publish(FILE, replace=False, last_modified=None, directory="new/below")
        name = FILE if replace else OTHER
        assert await part.publish(name, replace=replace, last_modified=None, directory="new/below")
        assert await content_of(destination, name, "new/below") == b"abc"
        assert not await destination.exists(directory="d", filename=name)

    async def test_a_name_of_the_greatest_length_is_published(self, destination: Destination) -> None:
        longest = await destination.max_name_bytes(directory="missing/below")
        assert longest >= MIN_NAME_BYTES
        name = parse_filename("é" * (longest // 2) + "x" * (longest % 2))
        part = await destination.open_part(directory="d", filename=name, download_id=ID, epoch=1, existing=None)
        await part.write([b"abc"], 0)
        assert await part.publish(name, replace=False, last_modified=None)
        assert await content_of(destination, name) == b"abc"

    async def test_a_publication_is_recognised_after_a_crash(self, destination: Destination) -> None:
        part = await open_part(destination, b"abc", directory="e")

        async def is_published(total: int = 3, identity: str | None = None) -> bool:
            return await destination.is_published(
                directory="d",
                filename=FILE,
                total=total,
                part_name=part.name,
                identity=identity,
                part_directory="e",
            )

        assert not await is_published()
        other = await publish(destination, b"xyz")
        # The part is there still: that file is another one.
        assert not await is_published()
        assert await part.publish(FILE, replace=True, last_modified=None, directory="d")
        assert await is_published()
        assert not await is_published(total=4)
        assert await is_published(identity=part.file_identity)
        assert not await is_published(identity=other)
        assert await destination.is_published(directory="d", filename=FILE, total=3, part_name=None, identity=None)
        assert not await destination.is_published(
            directory="missing", filename=FILE, total=3, part_name=None, identity=None
        )

    async def test_a_part_that_is_claimed_is_published_by_no_earlier_run(self, destination: Destination) -> None:
        late = await open_part(destination, b"abc")

        async def claim(epoch: int) -> str | None:
            return await destination.claim_part(
                directory="d", filename=FILE, download_id=ID, epoch=epoch, existing=late.name
            )

        async def is_published(epoch: int) -> bool:
            return await destination.is_published(
                directory="d", filename=FILE, total=3, part_name=late.name, identity=None, epoch=epoch
            )

        claimed = await claim(2)
        assert claimed is not None
        assert claimed != late.name
        with pytest.raises(StorageError, match=r"the part file (is missing|of f was removed or renamed)"):
            await late.publish(FILE, replace=False, last_modified=None)
        await late.close()
        await publish(destination, b"xyz")
        # The part of the second run was not recorded; it is found by its epoch.
        assert not await is_published(2)
        assert await claim(4) is not None
        assert not await is_published(4)
        part = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=5, existing=late.name)
        assert await part.read(0, 3) == b"abc"
        await part.remove()
        assert await claim(6) is None

    # final names

    async def test_a_reserved_name_is_free_after_its_release(self, destination: Destination) -> None:
        async def choose() -> str | None:
            return await destination.reserve_name(directory="d", filename=FILE, conflict=Conflict.RENAME)

        assert [await choose(), await choose(), await choose()] == ["f", "f (1)", "f (2)"]
        destination.release_name(directory="d", filename=parse_filename("f (1)"))
        destination.release_name(directory="d", filename=parse_filename("unknown"))
        assert await choose() == "f (1)"
        destination.release_name(directory="d", filename=FILE)
        assert await choose() == "f"
        # A reservation is one of a directory.
        assert await destination.reserve_name(directory="e", filename=FILE, conflict=Conflict.RENAME) == "f"

    async def test_concurrent_reservations_get_different_names(self, destination: Destination) -> None:
        await publish(destination, b"taken")
        names = await asyncio.gather(
            *(destination.reserve_name(directory="d", filename=FILE, conflict=Conflict.RENAME) for _ in range(50))
        )
        assert sorted(names, key=str) == sorted(f"f ({n})" for n in range(1, 51))

    async def test_a_cancelled_reservation_reserves_nothing(self, destination: Destination) -> None:
        async def choose() -> str | None:
            return await destination.reserve_name(directory="d", filename=FILE, conflict=Conflict.RENAME)

        choosing = [asyncio.create_task(choose()) for _ in range(20)]
        await asyncio.sleep(0)
        for task in choosing:
            task.cancel()
        await asyncio.gather(*choosing, return_exceptions=True)
        assert await choose() == "f"

    async def test_of_many_downloads_of_one_name_each_gets_its_own(self, destination: Destination) -> None:
        contents = [f"content {n}".encode() for n in range(30)]
        names = await asyncio.gather(*(download(destination, each, Conflict.RENAME) for each in contents))
        assert set(names) == {"f"} | {f"f ({n})" for n in range(1, 30)}
        for name, expected in zip(names, contents, strict=True):
            assert await content_of(destination, parse_filename(str(name))) == expected
        assert await listed(destination) == []

    async def test_of_many_downloads_that_overwrite_one_complete_file_is_left(self, destination: Destination) -> None:
        contents = [bytes([n]) * 10_000 for n in range(30)]
        names = await asyncio.gather(*(download(destination, each, Conflict.OVERWRITE) for each in contents))
        assert set(names) == {"f"}
        assert await content_of(destination) in contents
        assert not await destination.exists(directory="d", filename=parse_filename("f (1)"))

    async def test_of_many_downloads_that_skip_one_is_published(self, destination: Destination) -> None:
        names = await asyncio.gather(*(download(destination, b"abc", Conflict.SKIP) for _ in range(30)))
        assert sorted(names, key=str) == [None] * 29 + ["f"]
        assert await listed(destination) == []

    async def test_of_many_downloads_that_must_not_exist_one_is_published(self, destination: Destination) -> None:
        ends = await asyncio.gather(
            *(download(destination, b"abc", Conflict.ERROR) for _ in range(30)), return_exceptions=True
        )
        assert ends.count("f") == 1
        assert sum(isinstance(end, FileExistsAlreadyError) and end.path == "d/f" for end in ends) == 29

    # final files

    async def test_a_file_is_removed_by_its_identity(self, destination: Destination) -> None:
        identity = await publish(destination, b"abc")

        async def remove(directory: str = "d") -> bool:
            return await destination.remove_file(directory=directory, filename=FILE, identity=identity, checksum=None)

        assert await remove()
        assert not await destination.exists(directory="d", filename=FILE)
        assert not await remove()
        assert not await remove("missing")
        await publish(destination, b"other")
        with pytest.raises(FileChangedError):
            await remove()
        assert await content_of(destination) == b"other"

    async def test_a_file_without_identity_is_removed_by_its_checksum(self, destination: Destination) -> None:
        await publish(destination, b"abc")

        async def remove(checksum: str | None, identity: str | None = None) -> bool:
            return await destination.remove_file(directory="d", filename=FILE, identity=identity, checksum=checksum)

        for checksum in (None, f"sha-256={'0' * 64}"):
            with pytest.raises(FileChangedError):
                await remove(checksum)
        # Some storages give a file another identity later.
        assert await remove(f"sha-256={hashlib.sha256(b'abc').hexdigest()}", "another one")
        assert not await destination.exists(directory="d", filename=FILE)

    async def test_a_long_file_is_read_in_pieces(self, destination: Destination) -> None:
        content = bytes(range(256)) * 10_000
        await publish(destination, content)
        pieces = [piece async for piece in destination.read_file(directory="d", filename=FILE)]
        assert b"".join(pieces) == content
        assert max(map(len, pieces)) < len(content)
        async for _ in destination.read_file(directory="d", filename=FILE):
            break

    async def test_a_missing_file_cannot_be_read(self, destination: Destination) -> None:
        with pytest.raises(DownloadError):
            await content_of(destination)

    async def test_directories_are_completed_by_their_beginning(self, destination: Destination) -> None:
        for directory in ("mail", "music/new", "movies", "other", ".hidden"):
            await publish(destination, b"abc", directory=directory)
        await publish(destination, b"abc", parse_filename("mfile"), directory="")
        assert await destination.directories("m", 10) == ["mail", "movies", "music"]
        assert await destination.directories("/m", 2) == ["mail", "movies"]
        assert await destination.directories("", 10) == ["mail", "movies", "music", "other"]
        assert await destination.directories("music/", 10) == ["music/new"]
        for missing in ("x", "mfile/", "missing/"):
            assert await destination.directories(missing, 10) == []
        with pytest.raises(InvalidPathError):
            await destination.directories("../", 10)

    async def test_a_storage_that_is_there_and_takes_writes_passes_all_checks(self, destination: Destination) -> None:
        await destination.check_root()
        await destination.try_writing()
        for directory in ("", "missing/below"):
            await destination.check_directory(directory=directory)
        assert await destination.directories("", 10) == []
        assert not await destination.exists(directory="missing/below", filename=FILE)

    async def test_the_last_bytes_of_a_small_file_are_kept(self, destination: Destination) -> None:
        part = await open_part(destination)
        await part.write([b"abc"], 0, is_last=True)
        assert await part.publish(FILE, replace=False, last_modified=None)
        assert await content_of(destination) == b"abc"


class SmallFileContract:
    """Promises of every storage that holds small files in memory."""

    async def test_held_bytes_are_published_together(self, destination: Destination) -> None:
        await publish(destination, b"old", directory="b")
        contents = [("a", FILE, b"first"), ("b", FILE, b"second"), ("a", FILE, b"third"), ("b", OTHER, b"fourth")]
        parts = [await held(destination, content, directory=directory) for directory, _, content in contents]
        files = [small_file(destination, part, name) for part, (_, name, _) in zip(parts, contents, strict=True)]
        assert [file.size for file in files] == [5, 6, 5, 6]
        assert [file.identity for file in files] == [None] * 4
        published, taken = LinkResult.PUBLISHED, LinkResult.TAKEN
        assert await self._publish(destination, files) == [published, taken, taken, published]
        assert [part.file_identity for part in parts] == [files[0].identity, None, None, files[3].identity]
        assert [part.is_held for part in parts] == [False, True, True, False]
        assert await content_of(destination, FILE, "a") == b"first"
        assert await content_of(destination, FILE, "b") == b"old"
        # Those whose name is taken may have another one.
        third = parse_filename("h")
        again = [small_file(destination, part, third) for part in parts[1:3]]
        assert await self._publish(destination, again) == [published, published]
        assert await content_of(destination, third, "a") == b"third"
        identity = files[3].identity
        for each in (identity, None):
            assert await destination.is_published(directory="b", filename=OTHER, total=6, part_name=None, identity=each)
        assert await destination.remove_file(directory="b", filename=OTHER, identity=identity, checksum=None)
        for part in parts:
            await part.remove()

    async def test_written_files_that_are_discarded_leave_nothing(self, destination: Destination) -> None:
        part = await held(destination, b"abc")
        file = small_file(destination, part)
        await destination.small_files.write([file])
        assert not await destination.exists(directory="d", filename=FILE)
        await destination.small_files.discard([file])
        assert await destination.small_files.link([file]) == [LinkResult.UNSUITABLE]
        assert part.is_held
        assert not await destination.exists(directory="d", filename=FILE)
        await part.remove()
        assert await listed(destination) == []

    @pytest.mark.parametrize("use", ["write_held", "sync", "read", "more", "publish", "close"])
    async def test_held_bytes_are_kept_when_they_are_needed_otherwise(self, destination: Destination, use: str) -> None:
        part = await held(destination, b"abc")
        expected = b"abc"
        match use:
            case "write_held":
                await part.write_held()
            case "sync":
                await part.sync()
                assert part.synced == 3
            case "read":
                assert await part.read(1, 9) == b"bc"
            case "more":
                await part.write([b"def"], 3, is_last=True)
                expected = b"abcdef"
            case "publish":
                assert await part.publish(FILE, replace=False, last_modified=None)
            case "close":
                await part.close()
        assert not part.is_held
        assert part.size == len(expected)
        if use == "publish":
            assert await content_of(destination) == expected
            return
        await part.close()
        (entry,) = await listed(destination)
        again = await open_part(destination, download_id=entry.download_id, epoch=2, existing=entry.name)
        assert await again.read(0, 9) == expected
        await again.remove()

    async def test_held_bytes_are_hashed_and_removed_in_memory(self, destination: Destination) -> None:
        part = await held(destination, b"abc")
        assert await part.digest("md5") == "900150983cd24fb0d6963f7d28e17f72"
        assert part.is_held
        await part.remove()
        assert await listed(destination) == []

    async def _publish(self, destination: Destination, files: Sequence[SmallFile]) -> Sequence[LinkResult]:
        await destination.small_files.write(files)
        assert all(file.identity for file in files)
        return await destination.small_files.link(files)
