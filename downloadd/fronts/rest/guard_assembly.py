"""Construction of the guards from the configuration of the server."""

from downloadd.config import ServerConfig
from downloadd.fronts.cross_origin import AllowedOrigins
from downloadd.fronts.rest.machine_names import machine_names
from downloadd.fronts.rest.request_guards import AllowedHosts, LoginThrottle, RequestGuards


def make_guards(server: ServerConfig) -> RequestGuards:
    """Return the guards that the configuration of the server describes."""
    return RequestGuards(
        hosts=AllowedHosts(machine_names(server), server.allowed_hosts),
        throttle=LoginThrottle(server.max_failed_logins),
        origins=AllowedOrigins(server.allowed_origins, setting="server.allowed_origins"),
    )
