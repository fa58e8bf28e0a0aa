import socket

import pytest
from support.ports import free_port, is_free, local_ports, ports_of_worker


def test_a_free_port_is_none_that_the_kernel_gives_to_another_socket() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    for port in ports:
        assert port not in local_ports()
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")])
def test_a_port_in_use_at_one_address_is_not_free(family: socket.AddressFamily, address: str) -> None:
    port = free_port()
    with socket.socket(family) as server:
        try:
            server.bind((address, port))
        except OSError:
            pytest.skip(f"this machine has no address {address}")
        assert not is_free(port)
    assert is_free(port)


def test_workers_have_different_ports() -> None:
    ports = [set(ports_of_worker(f"gw{number}", 3)) for number in range(3)]
    assert not ports[0] & ports[1] | ports[1] & ports[2] | ports[0] & ports[2]
    assert set.union(*ports) == set(ports_of_worker("", 1))
    assert min(map(len, ports)) > 1000
