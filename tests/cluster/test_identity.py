"""Identity of a node."""

import os
import socket
from pathlib import Path

from downloadd import __version__
from downloadd.cluster.identity import read_identity
from downloadd.config import ClusterConfig, Config, ServerConfig


async def test_without_a_name_it_is_that_of_the_machine_and_nothing_is_written(tmp_path: Path) -> None:
    config = Config(server=ServerConfig(state_dir=str(tmp_path)))
    identity = await read_identity(config, "http://a", has_instance=False)
    assert (identity.name, identity.instance, identity.url) == (socket.gethostname(), "", "http://a")
    assert (identity.version, identity.lease) == (__version__, 15)
    assert os.listdir(tmp_path) == []


async def test_name_lease_and_instance_are_those_of_the_configuration(tmp_path: Path) -> None:
    config = Config(server=ServerConfig(state_dir=str(tmp_path)), cluster=ClusterConfig(node="alpha", lease=2.0))
    first, second = [await read_identity(config, "", has_instance=True) for _ in range(2)]
    assert first == second
    assert (first.name, first.lease, bool(first.instance)) == ("alpha", 2.0, True)
