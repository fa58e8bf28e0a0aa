"""Identity of this node: what does not change while it runs."""

import asyncio
import socket
from pathlib import Path

import msgspec

from downloadd import __version__
from downloadd.cluster.instance import ensure_instance_id
from downloadd.config import Config
from downloadd.records.boot import boot_id


class NodeIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Facts by which other nodes know a node."""

    name: str
    instance: str
    """Id of its state directory; empty if no other node can use the records."""
    url: str
    """Address of its API, for users of other nodes."""
    version: str
    boot: str | None
    """Id of the boot of the machine; None if it has none."""
    lease: float
    """Seconds without a heartbeat after which it counts as gone."""


async def read_identity(config: Config, url: str, *, has_instance: bool) -> NodeIdentity:
    """Return the identity of this node; with `has_instance`, the state directory has an id, made if it is missing.

    Raises:
        StartupError: the id cannot be read or written.
    """
    instance = await asyncio.to_thread(ensure_instance_id, Path(config.server.state_dir)) if has_instance else ""
    return NodeIdentity(
        name=config.cluster.node or socket.gethostname(),
        instance=instance,
        url=url,
        version=__version__,
        boot=await asyncio.to_thread(boot_id),
        lease=config.cluster.lease,
    )
