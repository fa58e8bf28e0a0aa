import os
import ssl
from pathlib import Path

import pytest
from support.origin.tls import Authority

from downloadd.config import Config, DownloadsConfig, HostConfig
from downloadd.errors import StartupError
from downloadd.policy.tls_contexts import HostTls, TlsContexts


@pytest.fixture(autouse=True)
def _no_authorities_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")


def write_authority(folder: Path, name: str) -> str:
    (folder / name).write_bytes(Authority().certificate)
    return str(folder / name)


def trusted(context: ssl.SSLContext) -> int:
    """Return the number of authorities."""
    return context.cert_store_stats()["x509_ca"]


def test_the_authorities_of_a_host_are_trusted_for_it_alone_and_besides_the_common_ones(tmp_path: Path) -> None:
    common, nas = write_authority(tmp_path, "common.pem"), write_authority(tmp_path, "nas.pem")
    config = Config(downloads=DownloadsConfig(ca_file=common), hosts=(HostConfig(host="nas.lan", ca_file=nas),))
    contexts = TlsContexts.from_config(config)
    assert trusted(contexts.context_for("nas.lan")) == 2
    assert trusted(contexts.context_for("other.lan")) == 1
    assert trusted(contexts.context_for("x.nas.lan")) == 1


def test_without_files_the_authorities_of_the_system_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", write_authority(tmp_path, "system.pem"))
    assert trusted(TlsContexts.from_config(Config()).context_for("files.example")) == 1


def test_hosts_with_the_same_authorities_share_a_context_and_so_their_pool(tmp_path: Path) -> None:
    common, nas = write_authority(tmp_path, "common.pem"), write_authority(tmp_path, "nas.pem")
    contexts = TlsContexts(
        common, {"a.lan": HostTls(ca_file=nas), "b.lan": HostTls(ca_file=nas), "c.lan": HostTls(ca_file=common)}
    )
    assert contexts.context_for("a.lan") is contexts.context_for("a.lan") is contexts.context_for("b.lan")
    assert contexts.context_for("c.lan") is contexts.context_for("d.lan") is not contexts.context_for("a.lan")


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    for common, host in ((missing, HostTls()), ("", HostTls(ca_file=missing))):
        with pytest.raises(StartupError) as caught:
            TlsContexts(common, {"nas.lan": host})
        assert caught.value.message == f"ca_file: {missing}: cannot be read: No such file or directory"


def test_a_host_gets_its_certificate_and_version(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "client.pem").write_bytes(authority.issue("client").private_key_and_cert_chain_pem.bytes())
    certificate = str(tmp_path / "client.pem")
    hosts = (
        HostConfig(host="a.lan", client_certificate=certificate, min_tls_version="1.3"),
        HostConfig(host="b.lan", min_tls_version="1.3"),
        HostConfig(host="c.lan", slots=1),
        HostConfig(host="d.lan", client_certificate=certificate, min_tls_version="1.3", slots=2),
    )
    contexts = TlsContexts.from_config(Config(hosts=hosts))
    assert contexts.context_for("a.lan") is contexts.context_for("d.lan") is not contexts.context_for("b.lan")
    assert contexts.context_for("c.lan") is contexts.context_for("other.lan")
    assert [contexts.context_for(f"{name}.lan").minimum_version for name in "abc"] == [
        ssl.TLSVersion.TLSv1_3,
        ssl.TLSVersion.TLSv1_3,
        ssl.TLSVersion.TLSv1_2,
    ]


def test_a_client_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    config = Config(hosts=(HostConfig(host="a.lan", client_certificate=str(tmp_path / "missing.pem")),))
    with pytest.raises(StartupError, match=r"^client_certificate: .*missing\.pem: cannot be read"):
        TlsContexts.from_config(config)
