from downloadd.config import ServerConfig
from downloadd.fronts.rest.guard_assembly import make_guards
from downloadd.fronts.rest.request_guards import AllowedHosts, LoginThrottle


def test_the_guards_follow_the_configuration() -> None:
    guards = make_guards(ServerConfig(allowed_hosts=("dl.example.com",), max_failed_logins=3))
    assert isinstance(guards.hosts, AllowedHosts)
    assert isinstance(guards.throttle, LoginThrottle)
