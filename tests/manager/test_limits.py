"""Limits on downloads that run at the same time."""

from downloadd.config import DownloadsConfig, HostConfig
from downloadd.manager.limits import Limits


def test_a_host_has_its_own_slots_or_those_of_all_hosts() -> None:
    config = DownloadsConfig(max_concurrent=7, max_per_host=3)
    limits = Limits.from_config(config, [HostConfig(host="a.example", slots=1), HostConfig(host="b.example")])
    assert limits.max_concurrent == 7
    assert [limits.slots_of(f"https://{host}.example:8443") for host in "abc"] == [1, 3, 3]


def test_hosts_without_settings_have_the_slots_of_all() -> None:
    assert Limits(max_concurrent=1, max_per_host=4).slots_of("http://a.example") == 4
