"""Contract of `UserStore`."""

import hashlib

import pytest
from support.opened_users import OpenUsers

from downloadd.errors import InvalidStateError, NotFoundError


class UserStoreContract:
    """Promises of every implementation of `UserStore`."""

    async def test_a_change_holds_on_return_and_a_former_token_is_refused(self, open_users: OpenUsers) -> None:
        async with open_users() as (store, known):
            tokens = [(await store.create("ann", ["download"])).token]
            assert [user.permissions for user in known.all] == [("download",)]
            await store.create("bob", ["read-files"])
            rotated = await store.rotate("ann")
            tokens.append(rotated.token)
            assert (rotated.id, rotated.permissions, rotated.kind) == ("ann", ("download",), "made")
            hashes = [f"sha256:{hashlib.sha256(token.encode()).hexdigest()}" for token in tokens]
            assert [user.token_hash for user in known.all if user.token_hash in hashes] == hashes[1:]
            await store.revoke("ann")
            assert [user.id for user in known.all] == ["bob"]

    async def test_what_cannot_be_done_is_refused_and_changes_nothing(self, open_users: OpenUsers) -> None:
        async with open_users() as (store, known):
            await store.create("ann", ["download"])
            before = known.all
            with pytest.raises(InvalidStateError, match="there is a user ann already"):
                await store.create("ann", [])
            for call in (store.rotate, store.revoke):
                with pytest.raises(NotFoundError, match="no user bob"):
                    await call("bob")
            assert known.all == before

    async def test_users_are_known_when_it_is_opened_again(self, open_users: OpenUsers) -> None:
        async with open_users() as (store, known):
            for id in ("bob", "ann", "carol"):
                await store.create(id, ["download"])
            await store.revoke("carol")
            before = known.all
        async with open_users() as (_, known):
            assert sorted(user.token_hash for user in known.all) == sorted(user.token_hash for user in before)
