"""Comparison of storage roots."""

import pytest
from msgspec.structs import replace

from downloadd.root_identity import RootIdentity, describe_difference, describe_shared_difference

USED = RootIdentity(marker="m", path="/srv/d", device="8:17", filesystem="ext4", mount_point="/srv/d")
BARE = RootIdentity(marker=None, path="/srv/d", device="8:1", filesystem="xfs", mount_point="/")


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(USED, id="same"),
        pytest.param(replace(USED, device="8:33"), id="device-renumbered"),
        pytest.param(replace(USED, mount_point="/srv"), id="mounted-by-a-sandbox"),
        pytest.param(replace(USED, path="/mnt/e", mount_point="/mnt", device="8:33"), id="moved-and-configured"),
        pytest.param(replace(USED, device="8:33", filesystem="", mount_point=""), id="unknown-mounts"),
    ],
)
def test_a_root_with_the_same_mark_is_used(found: RootIdentity) -> None:
    assert describe_difference(USED, found) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (BARE, "its disk is not mounted; xfs on device 8:1, before: ext4 on device 8:17"),
        (replace(BARE, marker="m"), "its disk is not mounted"),
        (replace(BARE, marker="other"), "is another one"),
        (replace(USED, marker=None), "the directory is another one or was emptied"),
        (replace(USED, marker="other"), "is another one"),
        (RootIdentity(marker=None, path="/srv/d"), "file system on device unknown"),
    ],
)
def test_another_root_is_named_with_the_remedy_and_without_its_path(found: RootIdentity, reason: str) -> None:
    difference = describe_difference(USED, found)
    assert difference is not None
    assert reason in difference
    assert "downloadctl storage accept" in difference
    assert "/srv" not in difference


def test_a_root_that_could_not_be_marked_is_not_compared() -> None:
    assert describe_difference(replace(USED, marker=None), BARE) is None


@pytest.mark.parametrize("found", [USED, replace(BARE, marker="m"), replace(USED, path="/mnt/d", mount_point="/mnt")])
def test_only_the_mark_decides_about_the_root_of_several_nodes(found: RootIdentity) -> None:
    assert describe_shared_difference(USED, found, ".mark") is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (replace(USED, marker=None), "it has no file .mark; ext4"),
        (replace(USED, marker="b"), "belongs to other records"),
    ],
)
def test_another_root_of_a_node_is_named_with_both_remedies(found: RootIdentity, reason: str) -> None:
    difference = describe_shared_difference(USED, found, ".mark")
    assert difference is not None
    for part in (reason, "mount the folder of the other nodes there", "write m into its file .mark"):
        assert part in difference
    assert describe_shared_difference(replace(USED, marker=None), found, ".mark") is None
