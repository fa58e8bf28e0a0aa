import socket

from support.ports import free_port, local_ports


def test_a_free_port_is_none_that_the_kernel_gives_to_another_socket() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) > 1
    for port in ports:
        assert port not in local_ports()
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))
