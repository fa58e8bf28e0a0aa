from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from downloadd.errors import DomainBlockedError
from downloadd.policy.addresses import AddressRules, check_special_name

PUBLIC = AddressRules()
LOCAL = AddressRules(["127.0.0.0/8", "10.1.0.0/16", "fd00::/8", "192.0.2.7"])

NETWORKS = ["127.0.0.0/8", "10.0.0.0/8", "0.0.0.0/0", "169.254.169.254"]

FORBIDDEN = [
    ("0.0.0.0", "this network"), ("0.255.255.255", "this network"), ("10.0.0.0", "private"),
    ("10.255.255.255", "private"), ("100.64.0.0", "shared"), ("100.127.255.255", "shared"), ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"), ("169.254.169.254", "link-local"), ("172.16.0.1", "private"),
    ("172.31.255.255", "private"), ("192.0.0.0", "protocol"), ("192.0.0.9", "protocol"), ("192.0.0.170", "protocol"),
    ("192.0.0.192", "protocol"), ("192.0.2.1", "documentation"), ("192.88.99.1", "relay"), ("192.168.0.1", "private"),
    ("198.18.0.1", "benchmarking"), ("198.19.255.255", "benchmarking"), ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"), ("224.0.0.1", "multicast"), ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"), ("255.255.255.254", "reserved"), ("255.255.255.255", "broadcast"),
    ("::", "unspecified"), ("::1", "loopback"), ("100::1", "discard"), ("100:0:0:1::1", "dummy"),
    ("2001:2::1", "protocol"), ("2001:10::1", "protocol"), ("2001:20::1", "protocol"), ("2001:1::1", "protocol"),
    ("2001:1ff:ffff::", "protocol"), ("2001:db8::1", "documentation"), ("3fff::1", "documentation"),
    ("3fff:fff::1", "documentation"), ("5f00::1", "segment"), ("fc00::1", "unique-local"),
    ("fd00:ec2::254", "unique-local"),
    ("fdff::1", "unique-local"), ("fe80::1", "link-local"), ("febf::1", "link-local"), ("fec0::1", "site-local"),
    ("feff::1", "site-local"), ("ff02::1", "multicast"), ("ff0e::1", "multicast"), ("4000::1", "not globally"),
    ("64:ff9c::1", "not globally"), ("1::1", "not globally"), ("e000::1", "not globally"), ("200::1", "not globally"),
    ("8000::", "not globally"), ("64:ff9b:1:808:8:800::", "local translation"),
    ("64:ff9b:1:8:8:808::", "local translation"), ("::8.8.8.8", "not globally"), ("::ffff:0:8.8.8.8", "not globally"),
    ("2001:0:808:808::f7f7:f7f7", "protocol"),
]  # fmt: skip

ALLOWED = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0",
    "192.88.98.1", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700::1111", "2001:200::1", "2001:4860:4860::8888", "2001:db7::1", "2001:db9::1", "2a00:1450::1",
    "3ffe:ffff::1", "3fff:1000::1", "2620:4f:8000::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8",
    "2606:4700::5efe:8.8.8.8", "2002:808:808:1::5efe:8.8.8.8",
]  # fmt: skip

EMBEDDINGS = {
    "compatible": "::{0}",
    "translated": "::ffff:0:{0}",
    "NAT64": "64:ff9b::{0}",
    "local NAT64": "64:ff9b:1::{0}",
    "6to4": "2002:{1}::",
    "6to4 with the rest filled": "2002:{1}:ffff:8:8:8:8",
    "Teredo server": "2001:0:{1}:0:0:f7f7:f7f7",
    "Teredo client": "2001:0:808:808:0:0:{2}",
    "ISATAP behind 6to4": "2002:808:808:1::5efe:{0}",
    "ISATAP": "2606:4700::5efe:{0}",
    "ISATAP of a global address": "2606:4700::200:5efe:{0}",
}


def embed(carrier: str, address: str) -> str:
    value = int(IPv4Address(address))
    inverted = value ^ 0xFFFFFFFF
    words = [f"{number >> 16:x}:{number & 0xFFFF:x}" for number in (value, inverted)]
    return EMBEDDINGS[carrier].format(address, *words)


@pytest.mark.parametrize(("address", "reason"), FORBIDDEN, ids=[row[0] for row in FORBIDDEN])
def test_an_address_that_is_not_globally_routable_is_forbidden(address: str, reason: str) -> None:
    with pytest.raises(DomainBlockedError, match=reason):
        PUBLIC.check_address(address)
    with pytest.raises(DomainBlockedError, match=reason):
        PUBLIC.check_address(ip_address(address))


@pytest.mark.parametrize("address", ALLOWED)
def test_a_globally_routable_address_passes(address: str) -> None:
    PUBLIC.check_address(address)


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "224.0.0.1", "100.64.0.1"])
@pytest.mark.parametrize("carrier", EMBEDDINGS)
def test_a_forbidden_ipv4_address_is_found_inside_ipv6(carrier: str, inner: str) -> None:
    with pytest.raises(DomainBlockedError, match="in IPv6 form"):
        PUBLIC.check_address(embed(carrier, inner))


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1"])
@pytest.mark.parametrize("carrier", EMBEDDINGS)
def test_an_ipv4_address_in_ipv6_form_needs_both_in_the_allowed_networks(carrier: str, inner: str) -> None:
    address = embed(carrier, inner)
    for networks in ((f"{inner}/32",), (f"{address}/128",), ("::/0",), ("0.0.0.0/0",)):
        with pytest.raises(DomainBlockedError):
            AddressRules(networks).check_address(address)
    AddressRules([inner, address]).check_address(address)
    AddressRules(["0.0.0.0/0", "::/0"]).check_address(address)


@pytest.mark.parametrize("carrier", EMBEDDINGS)
def test_a_public_ipv4_address_passes_in_an_allowed_ipv6_form(carrier: str) -> None:
    address = embed(carrier, "8.8.8.8")
    AddressRules([address]).check_address(address)


@pytest.mark.parametrize("networks", [["10.1.0.0/16"], ["::ffff:10.1.0.0/112"]])
def test_a_mapped_address_is_the_ipv4_address(networks: list[str]) -> None:
    rules = AddressRules(networks)
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"):
        rules.check_address(address)
    for address in ("10.2.2.3", "::ffff:10.2.2.3", "::ffff:127.0.0.1"):
        with pytest.raises(DomainBlockedError):
            rules.check_address(address)


@pytest.mark.parametrize("network", ["::/0", "::/64", "::fffe:0:0/95"])
def test_a_network_that_is_wider_than_the_mapped_addresses_contains_none_of_them(network: str) -> None:
    with pytest.raises(DomainBlockedError, match="loopback"):
        AddressRules([network]).check_address("::ffff:127.0.0.1")


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("64:ff9b:1:7f00:0:100::", id="prefix of 48 bits"),
        pytest.param("64:ff9b:1:7f00:0:100:808:808", id="prefix of 48 bits and a public suffix"),
        pytest.param("64:ff9b:1:7f:0:1::", id="prefix of 56 bits"),
        pytest.param("64:ff9b:1:0:7f:0:100:0", id="prefix of 64 bits"),
        pytest.param("64:ff9b:1::7f00:1", id="prefix of 96 bits"),
        pytest.param("64:ff9b:1::", id="no address"),
    ],
)
def test_loopback_is_found_wherever_a_local_translator_may_read_it(address: str) -> None:
    for rules in (PUBLIC, AddressRules(["64:ff9b:1::/48"])):
        with pytest.raises(DomainBlockedError):
            rules.check_address(address)


@pytest.mark.parametrize(
    "address", ["64:ff9b:1:808:8:800::", "64:ff9b:1:8:8:808::", "64:ff9b:1::8.8.8.8", "64:ff9b:1:0:8:808:800:0"]
)
def test_a_public_address_behind_an_allowed_local_translator_passes(address: str) -> None:
    AddressRules(["64:ff9b:1::/48"]).check_address(address)


def test_the_prefix_of_an_allowed_translator_says_where_it_reads_the_address() -> None:
    # With a prefix of 48 bits, this would be 255.254.0.0.
    address = "64:ff9b:1:fffe::8.8.8.8"
    with pytest.raises(DomainBlockedError, match="reserved"):
        AddressRules(["64:ff9b:1::/48"]).check_address(address)
    rules = AddressRules(["64:ff9b:1:fffe::/96"])
    rules.check_address(address)
    with pytest.raises(DomainBlockedError, match="private use, in IPv6 form"):
        rules.check_address("64:ff9b:1:fffe::10.0.0.1")


def test_an_isatap_address_on_a_forbidden_prefix_is_forbidden() -> None:
    with pytest.raises(DomainBlockedError, match="link-local"):
        PUBLIC.check_address("fe80::5efe:8.8.8.8")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "10.1.255.255", "192.0.2.7", "fd12::1", "8.8.8.8"])
def test_an_allowed_network_is_allowed_besides_the_internet(address: str) -> None:
    LOCAL.check_address(address)


@pytest.mark.parametrize("address", ["10.0.255.255", "10.2.0.0", "192.0.2.8", "::1", "fc00::1", "169.254.169.254"])
def test_an_address_outside_the_allowed_networks_stays_forbidden(address: str) -> None:
    with pytest.raises(DomainBlockedError):
        LOCAL.check_address(address)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2606:4700::1111%1", "fd00::1%lo", "::ffff:10.1.2.3%1"])
def test_a_zone_is_forbidden_even_in_an_allowed_network(address: str) -> None:
    with pytest.raises(DomainBlockedError, match="zone"):
        LOCAL.check_address(address)


@pytest.mark.parametrize(
    "address", ["", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "010.0.0.1", "[::1]", "1.1.1.1 "]
)
def test_a_text_that_is_not_an_address_is_forbidden(address: str) -> None:
    with pytest.raises(DomainBlockedError, match="not an IP address"):
        PUBLIC.check_address(address)


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        pytest.param("10.0.0.1/8", r"did you mean '10\.0\.0\.0/8'", id="host bits"),
        pytest.param("10.0.0.0/33", "write it like", id="prefix too long"),
        pytest.param("example.com", "write it like", id="name"),
        pytest.param("", "write it like", id="empty"),
        pytest.param("fe80::%eth0/64", "zone", id="zone"),
    ],
)
def test_a_malformed_network_is_refused_with_its_text_and_the_reason(network: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        AddressRules([network])


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "a.b.localhost"])
def test_localhost_is_loopback_without_dns(host: str) -> None:
    with pytest.raises(DomainBlockedError, match="loopback"):
        check_special_name(host, PUBLIC)
    check_special_name(host, LOCAL)
    check_special_name(host, AddressRules(["::1"]))


@pytest.mark.parametrize("host", ["example.com", "notlocalhost", "localhost.example", "localhost.localdomain"])
def test_other_names_are_left_to_the_dns(host: str) -> None:
    check_special_name(host, PUBLIC)


@given(st.ip_addresses())
def test_an_allowed_address_is_global_for_python_too(address: IPv4Address | IPv6Address) -> None:
    # Python 3.13 counts 6to4 as private, whatever address it embeds; the registry says "not applicable".
    if isinstance(address, IPv6Address) and (int(address) >> 125 != 1 or address.sixtofour is not None):
        return
    if PUBLIC.forbidden_reason(address) is None:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=4))
def test_an_address_and_its_mapped_form_get_the_same_answer(address: IPv4Address) -> None:
    for rules in (PUBLIC, LOCAL):
        assert rules.forbidden_reason(str(address)) == rules.forbidden_reason(f"::ffff:{address}")


@given(st.ip_addresses(v=6), st.lists(st.sampled_from(NETWORKS), unique=True))
def test_without_an_ipv6_network_no_address_is_allowed_that_is_not_public(
    address: IPv6Address, networks: list[str]
) -> None:
    if address.ipv4_mapped is None:
        assert (AddressRules(networks).forbidden_reason(address) is None) is (PUBLIC.forbidden_reason(address) is None)


@given(st.sampled_from(sorted(EMBEDDINGS)), st.ip_addresses(v=4))
def test_an_ipv6_form_is_allowed_only_if_the_ipv4_address_is(carrier: str, inner: IPv4Address) -> None:
    address = ip_address(embed(carrier, str(inner)))
    # ::/96 without the unspecified address and loopback.
    assume(int(address) > 1)
    for rules in (PUBLIC, LOCAL, AddressRules(["::/0"])):
        if rules.forbidden_reason(inner) is not None:
            assert rules.forbidden_reason(address) is not None
