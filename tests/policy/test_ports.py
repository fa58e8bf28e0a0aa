import pytest

from downloadd.errors import DomainBlockedError
from downloadd.policy.ports import PortRules


@pytest.mark.parametrize(
    ("port", "is_allowed"), [(80, True), (443, True), (1023, False), (1024, True), (65535, True), (22, False)]
)
def test_the_default_allows_http_and_unprivileged_ports(port: int, is_allowed: bool) -> None:
    assert PortRules().allows_port(port) is is_allowed


def test_ranges_include_both_ends() -> None:
    rules = PortRules([7, "10 - 12"])
    assert [port for port in range(1, 20) if rules.allows_port(port)] == [7, 10, 11, 12]


def test_an_empty_list_allows_no_port() -> None:
    assert not PortRules([]).allows_port(80)


def test_a_forbidden_port_is_named_with_the_setting() -> None:
    with pytest.raises(DomainBlockedError, match=r"port 22 is not among the allowed ports \(downloads.allowed_ports\)"):
        PortRules().check_port(22)
    PortRules().check_port(80)


@pytest.mark.parametrize("text", [0, 65536, -1, "", "a", "1-", "2-1", "1-2-3", "1-65536", "0x50"])
def test_a_malformed_port_is_refused(text: int | str) -> None:
    with pytest.raises(ValueError, match="is not a port"):
        PortRules([text])
