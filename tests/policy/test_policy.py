import pytest

from downloadd.config import DownloadsConfig
from downloadd.errors import DomainBlockedError, InvalidUrlError
from downloadd.policy.policy import Policy


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1/", "http://127.0.0.1:22/", "http://0.0.0.0/", "http://user:pass@127.0.0.1/",
        "http://example.com@127.0.0.1/", "http://example.com%23@127.0.0.1/", "http://127.0.0.1#@example.com/",
        "http://127.0.0.1?@example.com/", "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/", "http://127\u30020\u30020\u30021/",
        "http://%31%32%37.0.0.1/", "http://localhost/", "http://LOCALHOST./", "http://\uff4cocalhost/", "http://x.localhost/",
        "http://[::]/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[0000::0001]:80/", "http://[::127.0.0.1]/",
        "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:127.0.0.1]/",
        "http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
        "http://169.254.169.254/latest/meta-data/",  "http://[::ffff:a9fe:a9fe]/", "http://[fd00:ec2::254]/latest/",
        "http://100.100.100.200/", "http://192.0.0.192/",
        "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://[fe80::1]/",
        "http://[fc00::1]/", "http://224.0.0.1/", "http://255.255.255.255/", "http://[ff02::1]/",
    ],
)  # fmt: skip
def test_no_spelling_of_an_inner_address_passes(text: str) -> None:
    with pytest.raises(DomainBlockedError):
        Policy().check_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1\\@example.com/", "http://example.com\\@127.0.0.1/", "http://a@127.0.0.1@example.com/",
        "http://example.com@127.0.0.1:80@example.org/", "http:127.0.0.1/", "http:/127.0.0.1/", "http:///127.0.0.1/",
        "http://[::1%25lo]/", "http://127.0.0.1 example.com/", "http://127.0.0.1\t.example.com/", "file:///etc/passwd",
        "http://127.0.0.1%00.example.com/", "http://127.0.0.1:80:80/", "http://[127.0.0.1]/", "jar:http://127.0.0.1!/",
        "http://256.256.256.256/", "http://127.0.0.1%2f@example.com\\/", "dict://127.0.0.1/", "http://0x7f.1.example.0x/",
        "https://127.1/", "http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0177.0.0.1/",
        "http://0x7f.0x0.0x0.0x1/", "http://127.0.0.1./", "http://0/", "http://0x0/", "http://00000.0/",
        "http://2852039166/", "http://0xA9FEA9FE/", "http://0251.0376.0251.0376/", "http://010.000.000.001/",
        "http://8.8.8.8./", "http://134744072/",
    ],
)  # fmt: skip
def test_a_url_that_parsers_disagree_on_is_refused(text: str) -> None:
    with pytest.raises(InvalidUrlError):
        Policy().check_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/a?b", "http://8.8.8.8/", "http://[2606:4700::1111]/", "http://[::ffff:8.8.8.8]/",
        "http://127.0.0.1.example.com/", "http://localhost.example.com/",
        "http://example.com/?u=http://127.0.0.1/", "http://example.com/@127.0.0.1",
    ],
)  # fmt: skip
def test_the_public_internet_passes(text: str) -> None:
    Policy().check_url(text)


def test_the_domain_list_comes_first_and_opens_no_inner_address() -> None:
    policy = Policy.from_config(DownloadsConfig(allowed_domains=("example.com", "127.0.0.1", "localhost", "::1")))
    policy.check_url("http://example.com/")
    with pytest.raises(DomainBlockedError, match="not among"):
        policy.check_url("http://8.8.8.8/")
    for text in ("http://127.0.0.1/", "http://localhost/", "http://[::1]/"):
        with pytest.raises(DomainBlockedError, match="loopback"):
            policy.check_url(text)


def test_an_allowed_network_opens_the_address_and_localhost() -> None:
    policy = Policy.from_config(DownloadsConfig(allowed_networks=("127.0.0.0/8",)))
    for text in ("http://127.0.0.2/", "http://localhost/", "http://[::ffff:127.0.0.1]/"):
        policy.check_url(text)
    for text in ("http://[::1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/"):
        with pytest.raises(DomainBlockedError):
            policy.check_url(text)


@pytest.mark.parametrize(
    "config",
    [DownloadsConfig(allowed_domains=("http://example.com",)), DownloadsConfig(allowed_networks=("10.0.0.1/8",))],
    ids=["domain", "network"],
)
def test_a_malformed_configuration_is_refused(config: DownloadsConfig) -> None:
    with pytest.raises(ValueError, match="is not a"):
        Policy.from_config(config)
