"""Contract of `StorageRootRecords`."""

import asyncio

from support.stores import OpenStore

from downloadd.root_identity import RootIdentity


class StorageRootContract:
    """Promises of every implementation of `StorageRootRecords`."""

    async def test_the_last_root_is_kept(self, open_store: OpenStore) -> None:
        roots = [RootIdentity(marker=marker, path="/ü", device="8:1") for marker in ("a", None)]
        async with open_store() as records:
            assert await records.storage_root.load() is None
            for root in roots:
                await records.storage_root.save(root)
                assert await records.storage_root.load() == root
        async with open_store() as records:
            assert await records.storage_root.load() == roots[-1]

    async def test_only_the_first_of_several_roots_is_saved(self, open_store: OpenStore) -> None:
        roots = [RootIdentity(marker=marker, path="/") for marker in ("a", "b", "c")]
        async with open_store() as records:
            saved = await asyncio.gather(*map(records.storage_root.save_first, roots))
            assert saved == [roots[0]] * 3
            assert await records.storage_root.load() == roots[0]
