"""Construction of the RPC interface of aria2 from the configuration."""

from collections.abc import Callable

from downloadd.clock import Clock
from downloadd.config import Config
from downloadd.events import EventBus
from downloadd.fronts.aria2.front import RpcFront, create_rpc_front
from downloadd.fronts.aria2.methods.methods import Methods
from downloadd.fronts.rest.auth import Accounts
from downloadd.fronts.rest.request_guards import AllowedHosts
from downloadd.metrics import Metrics
from downloadd.service import DownloadService
from downloadd.settings_service import SettingsService
from downloadd.views import DownloadViews


def make_rpc_front(
    read_config: Callable[[], Config],
    *,
    service: DownloadService,
    views: DownloadViews,
    settings: SettingsService,
    accounts: Accounts,
    bus: EventBus,
    hosts: AllowedHosts,
    metrics: Metrics,
    clock: Clock,
    root: str,
    request_stop: Callable[[], None],
) -> RpcFront | None:
    """Return the interface; None if it is switched off.

    Args:
        read_config: returns the present configuration, which a reload replaces.
        service: what users do.
        views: what users see.
        settings: the limits on all downloads.
        accounts: the users.
        bus: publishes changes of downloads.
        hosts: the names under which the server may be called.
        metrics: counts connections.
        clock: the time.
        root: the absolute path of the storage root.
        request_stop: stops the daemon, for clients that may do so.
    """
    config = read_config().aria2
    if not config.enabled:
        return None
    methods = Methods(
        service=service,
        views=views,
        settings=settings,
        authenticate=accounts.find_by_token,
        read_config=lambda: read_config().downloads,
        root=root,
        shutdown=request_stop if config.allow_shutdown else None,
    )
    return create_rpc_front(
        methods=methods,
        notification_of=methods.notification_of,
        config=config,
        find_user=accounts.find_by_token,
        max_failed_logins=read_config().server.max_failed_logins,
        hosts=hosts,
        bus=bus,
        metrics=metrics,
        clock=clock,
    )
