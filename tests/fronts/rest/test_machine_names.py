"""Names of this machine."""

import socket

import pytest

from downloadd.config import ServerConfig
from downloadd.fronts.rest.machine_names import machine_names


def test_names_are_those_of_the_machine_and_of_its_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Nas.lan")
    server = ServerConfig(listen=("dl.example.com:80", "127.0.0.1:80", "[::1]:80", "unix:/run/x"))
    assert machine_names(server) == ["dl.example.com", "nas.lan", "nas.local"]


def test_a_machine_with_an_invalid_name_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "a b")
    assert machine_names(ServerConfig()) == []
