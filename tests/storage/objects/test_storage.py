"""One object storage: its keys, and what it says of objects."""

import pytest
from support.object_server import make_storage

from downloadd.errors import InvalidPathError
from downloadd.storage.names import parse_directory, parse_filename
from downloadd.storage.objects.client import ObjectClient
from downloadd.storage.objects.storage import ObjectStorage

FILE = parse_filename("f")


def test_keys_follow_the_directory() -> None:
    storage = make_storage("http://127.0.0.1:9", "bucket", path="a/b")
    assert storage.key_of(parse_directory("a/b"), FILE) == "files/a/b/f"
    assert storage.key_of(parse_directory("a/b/c d"), FILE) == "files/a/b/c d/f"
    assert storage.max_name_bytes(parse_directory("a/b")) == 1024 - len("files/a/b/")
    with pytest.raises(InvalidPathError, match="takes 1024"):
        storage.key_of(parse_directory("/".join(["a/b", *["x" * 254] * 4])), FILE)


async def test_an_object_is_that_of_the_download_that_it_names(
    object_server: str, bucket: str, object_client: ObjectClient
) -> None:
    metadata = {"download-id": "i", "sha256": "0"}
    await object_client.put("files/d/f", b"abc", content_type="text/plain", metadata=metadata, replace=False)
    async with make_storage(object_server, bucket) as storage:
        assert isinstance(storage, ObjectStorage)
        own = await storage.find_own("files/d/f", download_id="i", sha256="0")
        assert own == await storage.find("files/d/f")
        assert own is not None
        assert (own.size, own.sha256) == (3, "0")
        assert await storage.find_own("files/d/f", download_id="j") is None
        assert await storage.find_own("files/d/f", download_id="i", sha256="1") is None
        assert await storage.find("files/d/g") is None
