"""Contract of a `Destination`, for each implementation."""

from downloadd.download import Conflict
from downloadd.storage.destination import Destination, Part
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import SafeName, parse_filename

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
FILE = parse_filename("f")


async def open_part(destination: Destination, *, epoch: int = 1, existing: str | None = None) -> Part:
    return await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=epoch, existing=existing)


async def content(destination: Destination, filename: SafeName) -> bytes:
    return b"".join([piece async for piece in destination.read_file(directory="d", filename=filename)])


async def test_written_bytes_are_read_from_the_final_file_after_publication(destination: LocalDestination) -> None:
    storage: Destination = destination
    part = await open_part(storage)
    part.hash_while_writing(["md5"])
    await storage.check_free_space(3)
    await part.reserve(3, missing=3)
    await part.write([b"a", b"bc"], 0)
    assert (part.size, await part.read(1, 10)) == (3, b"bc")
    assert await part.digest("md5") == "900150983cd24fb0d6963f7d28e17f72"
    await part.sync()
    assert part.synced == 3
    name = await storage.reserve_name(directory="d", filename=FILE, conflict=Conflict.RENAME)
    assert name == "f"
    assert not await storage.exists(directory="d", filename=name)
    assert await part.publish(name, replace=False, last_modified=None)
    storage.release_name(directory="d", filename=name)
    assert await storage.exists(directory="d", filename=name)
    assert await content(storage, name) == b"abc"
    assert await storage.is_published(directory="d", filename=name, total=3, part_name=part.name, identity=None)


async def test_a_closed_part_is_listed_resumed_and_removed(destination: LocalDestination) -> None:
    storage: Destination = destination
    first = await open_part(storage)
    await first.write([b"abc"], 0)
    await first.close()
    assert [
        (part.directory, part.download_id, part.epoch) async for chunk in storage.list_parts() for part in chunk
    ] == [("d", ID, 1)]
    second = await open_part(storage, epoch=2, existing=first.name)
    assert second.size == 3
    await second.close()
    await storage.remove_part(directory="d", name=second.name)
    await storage.remove_part(directory="d", name=second.name)
    assert [chunk async for chunk in storage.list_parts()] == []


async def test_a_run_that_starts_over_writes_a_new_file_beside_the_old_one(destination: LocalDestination) -> None:
    storage: Destination = destination
    first = await open_part(storage)
    await first.write([b"abc"], 0)
    second = await storage.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None, restart=1)
    await second.write([b"xy"], 0)
    assert (await first.read(0, 9), await second.read(0, 9)) == (b"abc", b"xy")
    assert first.name != second.name
    await first.close()
    await second.close()
    # The next run goes back to the old one; the other may have been adopted under its epoch meanwhile.
    current = await open_part(storage, epoch=2, existing=second.name)
    back = await storage.open_part(
        directory="d", filename=FILE, download_id=ID, epoch=2, existing=first.name, restart=1
    )
    assert (await current.read(0, 9), await back.read(0, 9)) == (b"xy", b"abc")
    await current.close()
    await back.close()
    gone = await storage.open_part(
        directory="d", filename=FILE, download_id=ID, epoch=3, existing=first.name, restart=2
    )
    assert gone.size == 0
    await gone.remove()


async def test_the_use_of_the_storage_is_measured(destination: LocalDestination) -> None:
    storage: Destination = destination
    usage = await storage.measure_use([])
    assert 0 < usage.free <= usage.size
    assert usage.quotas == []
