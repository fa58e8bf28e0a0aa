"""URLs that are allowed with any host and port, for tests of components behind the policy."""

from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.policy.ports import PortRules
from downloadd.policy.url import AllowedUrl

_ALLOW_EVERYTHING = Policy(addresses=AddressRules(["0.0.0.0/0", "::/0"]), ports=PortRules(["1-65535"]))


def allowed_url(text: str) -> AllowedUrl:
    """Return a URL as the policy would if it allowed everything."""
    return _ALLOW_EVERYTHING.check_url(text)
