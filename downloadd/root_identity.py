"""Identity of a storage root, by which a bare mount point or another disk is told from it.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

UNKNOWN: Final = ""
"""Value of what the operating system does not state."""

_REMEDY: Final = "put it back, or use the one that is there with `downloadctl storage accept`"
_SHARED_REMEDY: Final = "mount the folder of the other nodes there"


class RootIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a storage root."""

    marker: str | None
    """Id in the marker file; None if there is none."""
    path: str
    """Path of the root without symbolic links."""
    device: str = UNKNOWN
    """`<major>:<minor>`; a restart of the machine may change it."""
    filesystem: str = UNKNOWN
    """Type of the file system, such as `ext4`."""
    mount_point: str = UNKNOWN
    """Place at which the file system of the root is mounted."""


def describe_difference(expected: RootIdentity, found: RootIdentity) -> str | None:
    """Return why `found` is not the root that was used before, without a path; None if it is.

    The marker decides. A directory with the same marker is a copy if it is on another device, and that is mounted
    elsewhere: such as the old files below a mount point whose disk is not mounted. After a restart of the machine the
    device may have another number, but not another mount point. Another configured path is the administrator's choice.
    """
    if expected.marker is None:
        return None
    if found.marker is not None and found.marker != expected.marker:
        return f"the storage root is another one ({_describe(found)}; before: {_describe(expected)}); {_REMEDY}"
    is_elsewhere = found.device != expected.device and UNKNOWN != found.mount_point != expected.mount_point
    is_unmounted = is_elsewhere and found.path == expected.path and expected.mount_point != UNKNOWN
    if found.marker is None or is_unmounted:
        what = "its disk is not mounted" if is_unmounted else "the directory is another one or was emptied"
        return f"the storage root is gone ({what}; {_describe(found)}, before: {_describe(expected)}); {_REMEDY}"
    return None


def describe_shared_difference(expected: RootIdentity, found: RootIdentity, marker_name: str) -> str | None:
    """Return why `found` is not the root of the nodes that share the records, without a path; None if it is.

    Only the marker decides: each node may have the root at another path, and on another device. `marker_name` is that
    of its file.
    """
    if expected.marker is None or found.marker == expected.marker:
        return None
    what = f"it has no file {marker_name}" if found.marker is None else "it belongs to other records"
    return (
        f"the storage root is not that of the database ({what}; {_describe(found)}); {_SHARED_REMEDY}, or write "
        f"{expected.marker} into its file {marker_name} to use this one"
    )


def _describe(identity: RootIdentity) -> str:
    return f"{identity.filesystem or 'file system'} on device {identity.device or 'unknown'}"
