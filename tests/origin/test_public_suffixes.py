"""The list of public suffixes."""

import pytest

from downloadd.origin.public_suffixes import PublicSuffixes


@pytest.fixture(scope="module")
def suffixes() -> PublicSuffixes:
    return PublicSuffixes()


@pytest.mark.parametrize(
    "host", ["com", "co.uk", "github.io", "xn--55qx5d.cn", "xn--mgberp4a5d4ar", "kobe.jp", "unknown", "localhost"]
)
def test_a_suffix_is_public(suffixes: PublicSuffixes, host: str) -> None:
    assert suffixes.is_public(host)


@pytest.mark.parametrize(
    "host", ["example.com", "example.co.uk", "ann.github.io", "a.xn--55qx5d.cn", "city.kobe.jp", "www.ck", "a.unknown"]
)
def test_a_domain_below_a_suffix_is_not(suffixes: PublicSuffixes, host: str) -> None:
    assert not suffixes.is_public(host)
