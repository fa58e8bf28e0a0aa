"""Users as administrators see and change them; the refusals are tested by the API."""

import pytest
from structlog.testing import capture_logs
from support.config_files import TOKEN_HASH
from support.fake_users import FakeUsers

from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.service import UserService
from downloadd.config import UserConfig
from downloadd.errors import InvalidStateError
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import Rights
from downloadd.users import PermissionMissingError, User

ADA = User(id="ada", permissions=frozenset({"manage-users"}))
ANN = User(id="ann", permissions=frozenset({"download", "view-downloads", "read-files"}))


def make_service() -> UserService:
    known = KnownUsers([UserConfig(id="ada", token_hash=TOKEN_HASH)], lambda users: None, reserved={"folder"})
    return UserService(FakeUsers(known), known, Rights(directories=DirectoryRules(), is_enabled=True))


async def test_changes_are_logged_without_tokens() -> None:
    service = make_service()
    with capture_logs() as lines:
        tokens = [(await service.create(ADA, "ann", ["download"])).token, (await service.rotate(ADA, "ann")).token]
        assert [(one.id, one.kind) for one in service.list(ADA)] == [("ada", "configured"), ("ann", "made")]
        await service.revoke(ADA, "ann")
    assert [line["event"] for line in lines] == ["user_created", "user_rotated", "user_revoked"]
    assert not any(token in str(lines) for token in tokens)


async def test_others_than_administrators_are_refused() -> None:
    service = make_service()
    with pytest.raises(PermissionMissingError):
        service.list(ANN)
    for call in (service.create(ANN, "bob", []), service.rotate(ANN, "ann"), service.revoke(ANN, "bob")):
        with pytest.raises(PermissionMissingError):
            await call


async def test_a_made_user_that_the_configuration_hides_is_not_changed() -> None:
    known = KnownUsers((), lambda users: None)
    service = UserService(FakeUsers(known), known, Rights(directories=DirectoryRules(), is_enabled=True))
    await service.create(ADA, "ann", ["download"])
    known.replace_configured([UserConfig(id="ann", token_hash=TOKEN_HASH)])
    assert [(one.id, one.kind) for one in service.list(ADA)] == [("ann", "configured")]
    for call in (service.rotate, service.revoke):
        with pytest.raises(InvalidStateError, match="of the configuration"):
            await call(ADA, "ann")


async def test_the_id_of_a_watch_folder_is_refused_because_the_next_start_would_be() -> None:
    with pytest.raises(InvalidStateError, match="folder"):
        await make_service().create(ADA, "folder", [])
