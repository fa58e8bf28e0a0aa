"""No address outside of the public internet is reached by any spelling, name or redirect.

What is tested elsewhere: the rules at their borders in `policy/test_addresses.py`, the socket that is really connected
in `origin/test_dialer.py`, proxies of the environment in `end_to_end/test_policy.py`.
"""

import itertools
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.fake_resolver import daemon_with_hosts
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, redirect
from support.ports import free_port

from downloadd.errors import DomainBlockedError, InvalidUrlError
from downloadd.origin.request_head import encode_request_head
from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.policy.url import parse_host

CLOSED = DEFAULT_CONFIG.replace('allowed_networks = ["127.0.0.0/8", "::1/128"]\n', "")

# -- the registries ----------------------------------------------------------------------------------------------------

NOT_GLOBAL = [
    "0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32",
    "192.0.2.0/24", "192.88.99.0/24", "192.88.99.2/32", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32", "224.0.0.0/4",
    "::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:1::1/128", "2001:1::2/128",
    "2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28",
    "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip
"""Both IANA special-purpose registries, with the multicast and site-local ranges that have registries of their own.

Those of protocols that have no web servers (PCP, TURN, DETs) are left out of the internet here though they are routed.
The prefixes of translators and tunnels (::ffff:0:0/96, 64:ff9b::/96, 2002::/16) are as global as the addresses that
they embed: see the spellings.
"""

GLOBAL = ["192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24", "2620:4f:8000::/48"]
"""Ranges of the registries with public servers."""


@pytest.mark.parametrize("text", NOT_GLOBAL)
def test_no_special_range_is_reached_at_its_start_end_or_middle(text: str) -> None:
    network = ip_network(text)
    rules = AddressRules()
    for number in {0, 1, network.num_addresses // 3, network.num_addresses // 2, network.num_addresses - 1}:
        if number < network.num_addresses:
            address = network[number]
            with pytest.raises(DomainBlockedError):
                rules.check_address(address)
            host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
            with pytest.raises(DomainBlockedError):
                Policy().check_url(f"http://{host}/")


@pytest.mark.parametrize("text", GLOBAL)
def test_a_public_range_is_reached(text: str) -> None:
    network = ip_network(text)
    for address in (network[0], network[-1]):
        AddressRules().check_address(address)


# -- spellings ---------------------------------------------------------------------------------------------------------

INNER = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.100.100.200",
    "192.0.0.192", "168.63.129.16", "169.254.170.2", "198.18.0.1", "224.0.0.1", "255.255.255.255",
]  # fmt: skip
"""Addresses of this machine, of private networks, and of the metadata services of clouds."""

DOTS = ("\u3002", "\uff0e", "\uff61", "%2e", "%2E", "%E3%80%82")
FULL_WIDTH = str.maketrans({str(digit): chr(0xFF10 + digit) for digit in range(10)})
CIRCLED = str.maketrans({str(digit): chr(0x2460 + digit - 1) if digit else "\u24ea" for digit in range(10)})
SUBSCRIPT = str.maketrans({str(digit): chr(0x2080 + digit) for digit in range(10)})
SUPERSCRIPT = str.maketrans(
    dict(zip("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", strict=True))
)
BOLD = str.maketrans({str(digit): chr(0x1D7CE + digit) for digit in range(10)})
DIGITS: dict[str, dict[int, str]] = {
    "full-width": FULL_WIDTH,
    "circled": CIRCLED,
    "subscript": SUBSCRIPT,
    "superscript": SUPERSCRIPT,
    "bold": BOLD,
}


def ipv4_spellings(text: str) -> Iterator[str]:
    """Yield the address in every spelling that a resolver, library or browser accepts."""
    value = int(IPv4Address(text))
    parts = IPv4Address(text).packed
    numbers = {
        4: list(parts),
        3: [parts[0], parts[1], value & 0xFFFF],
        2: [parts[0], value & 0xFFFFFF],
        1: [value],
    }
    forms: tuple[Callable[[int], str], ...] = (
        str,
        hex,
        lambda n: f"0X{n:X}",
        lambda n: f"0{n:o}",
        lambda n: f"000{n:o}",
        lambda n: f"0x0000{n:x}",
        # Decimal to some programs, octal to others.
        lambda n: f"{n:03d}",
        lambda n: f"0{n}",
    )
    for group in numbers.values():
        for form in forms:
            yield ".".join(map(form, group))
    # Mixed bases in one address.
    for mixed in itertools.product(forms[:4], repeat=2):
        yield ".".join((mixed[0](parts[0]), mixed[1](parts[1]), mixed[0](parts[2]), mixed[1](parts[3])))
    for table in DIGITS.values():
        yield text.translate(table)
        yield str(value).translate(table)
        for dot in DOTS[:3]:
            yield text.translate(table).replace(".", dot)
    for dot in DOTS:
        yield text.replace(".", dot)
        yield text.replace(".", dot, 1)
    yield f"{text}."
    yield f"{text}\u3002"
    yield "".join(f"%{ord(character):02x}" for character in text)
    yield "".join(f"%{byte:02X}" for byte in text.translate(FULL_WIDTH).encode())
    yield f"example.com@{text}"
    yield f"example.com%40x:y@{text}"
    yield f":@{text}"
    yield f"\u00ad{text}"


def ipv6_spellings(text: str) -> Iterator[str]:
    """Yield the IPv6 addresses in which translators and tunnels embed the address."""
    value = int(IPv4Address(text))
    high, low = value >> 16, value & 0xFFFF
    inverted = value ^ 0xFFFFFFFF
    for carried in (text, f"{high:x}:{low:x}", f"{high:04X}:{low:04X}"):
        for prefix in (
            "::ffff:", "0:0:0:0:0:ffff:", "0000:0000:0000:0000:0000:FFFF:", "::", "::ffff:0:", "64:ff9b::",
            "0064:FF9B:0:0:0:0:", "64:ff9b:1::", "2606:4700::5efe:", "2606:4700::200:5efe:", "2002:808:808:1::5efe:",
        ):  # fmt: skip
            yield f"[{prefix}{carried}]"
    yield f"[64:ff9b:1:{high:x}:{low >> 8:x}:{low & 0xFF:02x}00::]"
    yield f"[64:ff9b:1:{high >> 8:x}:{high & 0xFF:x}:{low:x}::]"
    yield f"[64:ff9b:1:0:{high >> 8:x}:{(high & 0xFF) << 8 | low >> 8:x}:{(low & 0xFF) << 8:x}:0]"
    yield f"[2002:{high:x}:{low:x}::]"
    yield f"[2002:{high:x}:{low:x}::1]"
    yield f"[2002:{high:x}:{low:x}:ffff:ffff:ffff:ffff:ffff]"
    yield f"[2001:0:{high:x}:{low:x}:0:0:f7f7:f7f7]"
    yield f"[2001:0:808:808:8000:ffff:{inverted >> 16:x}:{inverted & 0xFFFF:x}]"


SPELLINGS = [spelling for text in INNER for spelling in (*ipv4_spellings(text), *ipv6_spellings(text))]

NAMES = [
    "localhost", "LOCALHOST", "localhost.", "LocalHost.", "a.localhost", "a.b.localhost.", "%6c%6f%63alhost",
    "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54", "local\u00adhost", "\u24db\u24de\u24d2\u24d0lhost",
    "\U0001d425ocalhost", "x\u3002localhost", "localho\u017ft", "u:p@localhost", "127.0.0.1.localhost",
]  # fmt: skip

UNREADABLE = [
    "127.0.0.1%00", "127.0.0.1%00.example.com", "127.0.0.1\\.example.com", "127.0.0.1\\@example.com", "a@127.0.0.1@b",
    "127.0.0.1%0a", "127.0.0.1%20", "127.0.0.1%09x", "127.0.0.1 .example.com", "127.0.0.1,example.com", "[::1%25lo]",
    "[::1%lo]", "[fe80::1%25eth0]", "[::1%2525lo]", "[::ffff:0177.0.0.1]", "[::ffff:127.1]", "[::ffff:0x7f.0.0.1]",
    "[127.0.0.1]", "[::1].example.com", "[::1", "::1]", "0x7f.0.0.0x", "127.0.0.1.1", "127.0.0.256", "127.0.0.08",
    "256.0.0.1", "4294967296", "0x100000000", "040000000000", "127..1", ".127.0.0.1", "127.0.0.1..", "1e3.0.0.1",
    "0b1111111.0.0.1", "0o177.0.0.1", "+127.0.0.1", "0x", "127.0x.0.1.0", "127.0.0.%31%00",
    "127.0.0.1%2f", "127.0.0.1%3a80", "127.0.0.1^x",
    "[::1]]", "[[::1]]", "[v1.x]", "[]", "[::1]x", "\u0661\u0662\u0667.0.0.1", "\u06f1\u06f2\u06f7.0.0.1",
]  # fmt: skip
"""Spellings that some parsers accept as a private address and others do not."""


def test_no_spelling_of_a_private_address_is_allowed() -> None:
    assert len(SPELLINGS) > 1500
    for spelling in SPELLINGS + NAMES:
        for url in (f"http://{spelling}/", f"https://{spelling}:8080/x?y"):
            with pytest.raises((DomainBlockedError, InvalidUrlError)):
                Policy().check_url(url)


@pytest.mark.parametrize("text", INNER)
def test_an_accepted_spelling_is_parsed_as_its_address(text: str) -> None:
    read = 0
    for spelling in ipv4_spellings(text):
        try:
            host = parse_host(spelling.rpartition("@")[2])
        except InvalidUrlError:
            continue
        assert host == text, spelling
        read += 1
    # Dotted quads: in other digits, with other dots, percent-encoded. No other base, and no other number of parts.
    assert 20 < read < 50


@pytest.mark.parametrize("text", INNER)
def test_an_allowed_ipv4_address_is_reached_as_itself_only(text: str) -> None:
    policy = Policy(addresses=AddressRules([text]))
    mapped = 0
    for spelling in (*ipv4_spellings(text), *ipv6_spellings(text)):
        try:
            url = policy.check_url(f"http://{spelling}/")
        except (DomainBlockedError, InvalidUrlError):
            continue
        assert url.host in {text, f"::ffff:{text}"}, spelling
        mapped += url.host != text
    assert mapped == 9


@pytest.mark.parametrize("text", INNER)
def test_a_network_of_all_ipv6_addresses_reaches_no_embedded_address(text: str) -> None:
    policy = Policy(addresses=AddressRules(["::/0"]))
    for spelling in ipv6_spellings(text):
        # The unspecified address is not an embedded one.
        if spelling not in {"[::0.0.0.0]", "[::0:0]", "[::0000:0000]"}:
            with pytest.raises(DomainBlockedError):
                policy.check_url(f"http://{spelling}/")


@pytest.mark.parametrize("spelling", UNREADABLE)
def test_an_ambiguous_spelling_is_refused(spelling: str) -> None:
    with pytest.raises((InvalidUrlError, DomainBlockedError)):
        Policy().check_url(f"http://{spelling}/")


@pytest.mark.parametrize(
    "authority",
    ["127.0.0.1&@example.com", "127.0.0.1%23@example.com", "127.0.0.1%2F@example.com", "localhost@example.com"],
)
def test_userinfo_is_not_the_host(authority: str) -> None:
    url = Policy().check_url(f"http://{authority}/")
    assert url.host == "example.com"
    head = encode_request_head(url, [], method="GET", via_proxy=False)
    assert head == b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"


async def test_the_daemon_reaches_this_machine_by_no_spelling(tmp_path: Path) -> None:
    async with Origin() as origin, DaemonProcess(tmp_path, config=CLOSED) as daemon:
        urls = [f"http://{spelling}:{origin.port}/f" for spelling in SPELLINGS + NAMES + UNREADABLE]
        urls = [url for url in urls if url.isprintable()]
        items = [{"url": url, "directory": "d"} for url in urls]
        status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert status in {400, 403}
        for url, result in zip(urls, body["downloads"], strict=True):
            assert result["error"] in {"DOMAIN_BLOCKED", "INVALID_URL"}, url
        for entry in await daemon.history():
            assert (entry["status"], entry["total_bytes"]) == ("failed", None)
            assert entry["detail"]
        assert origin.connections == 0
        assert daemon.files() == {}
        assert "Traceback" not in daemon.log.read_text()


# -- names -------------------------------------------------------------------------------------------------------------


async def test_no_name_leads_to_a_private_address_even_if_its_addresses_change(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG.replace('"127.0.0.0/8", "::1/128"', '"127.0.0.1/32"')
    hosts = {
        "127.0.0.2.nip_test": "127.0.0.2", "7f000002.nip_test": "127.0.0.2", "app-127-0-0-2.nip_test": "127.0.0.2",
        "metadata_google_internal": "169.254.169.254", "unspecified_test": "0.0.0.0",
        "mixed_test": "127.0.0.2,10.0.0.1",
        "broadcast_test": "255.255.255.255", "azure_test": "168.63.129.16", "multicast_test": "224.0.0.1",
        **{f"turning{number}_test": "127.0.0.1/127.0.0.2" for number in range(6)},
        **{f"returning{number}_test": "127.0.0.2/127.0.0.1" for number in range(6)},
    }  # fmt: skip
    async with (
        Origin(host="127.0.0.1", port=free_port()) as origin,
        Origin(host="127.0.0.2", port=origin.port) as inner,
        daemon_with_hosts(tmp_path, config, **hosts) as daemon,
    ):
        for server in (origin, inner):
            server.script("/f", ScriptedResponse(size=3))
        outcomes: set[str | None] = set()
        for name in hosts:
            host = name.replace("_", ".")
            origin.script(f"/{name}", redirect(f"http://{host}:{origin.port}/f"))
            for url in (f"http://{host}:{origin.port}/f", origin.url(f"/{name}"), f"http://{host}.:{origin.port}/f"):
                _, answer = await daemon.fetch("d", url)
                outcomes.add(answer["error"])
                assert answer["error"] in ({None, "DOMAIN_BLOCKED"} if "turning" in name else {"DOMAIN_BLOCKED"}), name
        # Names with a public address at the moment are reached, so the test would see the others too.
        assert outcomes == {None, "DOMAIN_BLOCKED"}
        assert inner.connections == 0


async def test_no_redirect_leads_to_a_private_address_in_any_spelling(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG.replace('"127.0.0.0/8", "::1/128"', '"127.0.0.1/32"')
    async with (
        Origin(host="127.0.0.1", port=free_port()) as origin,
        Origin(host="127.0.0.2", port=origin.port) as inner,
        DaemonProcess(tmp_path, config=config) as daemon,
    ):
        inner.script("/f", ScriptedResponse(size=3))
        hosts = [*ipv4_spellings("127.0.0.2"), *ipv6_spellings("127.0.0.2")]
        paths = []
        for number, host in enumerate(hosts):
            for way, prefix in enumerate(("http://", "//", "HTTP://u:p@") if number % 10 == 0 else ("http://",)):
                paths.append(f"/{number}-{way}")
                origin.script(paths[-1], redirect(f"{prefix}{host}:{origin.port}/f"))
        items = [{"url": origin.url(path), "directory": "d"} for path in paths]
        status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert status == 201
        for path, result in zip(paths, body["downloads"], strict=True):
            entry = await daemon.wait_until_finished(result["download_id"])
            assert entry["error"] in {"DOMAIN_BLOCKED", "INVALID_URL", "REMOTE_ERROR"}, path
        assert inner.connections == 0
        assert daemon.files() == {}
