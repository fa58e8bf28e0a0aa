"""`storage accept`, in this process."""

from cli.conftest import Command
from support.served_api import ServedApi


async def test_a_change_of_the_storage_is_accepted(api: ServedApi, command: Command) -> None:
    api.storage.problem = "the storage root is gone"
    result = await command("storage", "accept")
    assert result.output == "The storage root is used from now on (ext4, device 8:1).\n"
    assert api.storage.problem is None
