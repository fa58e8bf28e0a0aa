"""Assembly of the RPC interface of aria2 from its parts, for the composition root."""

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


def assemble_rpc(
    *,
    read_config: Callable[[], Config],
    service: DownloadService,
    views: DownloadViews,
    settings: SettingsService,
    accounts: Accounts,
    bus: EventBus,
    metrics: Metrics,
    clock: Clock,
    hosts: AllowedHosts,
    root: str,
    request_stop: Callable[[], None],
) -> RpcFront | None:
    """Return the RPC interface of aria2; None if it is switched off.

    `read_config` returns the present configuration, `root` is the path of the storage root, and `request_stop` stops
    the daemon.
    """
    config = read_config()
    if not config.aria2.enabled:
        return None
    methods = Methods(
        service=service,
        views=views,
        settings=settings,
        authenticate=accounts.find_by_token,
        read_config=lambda: read_config().downloads,
        root=root,
        shutdown=request_stop if config.aria2.allow_shutdown else None,
    )
    return create_rpc_front(
        methods=methods,
        notification_of=methods.notification_of,
        config=config.aria2,
        find_user=accounts.find_by_token,
        max_failed_logins=config.server.max_failed_logins,
        hosts=hosts,
        bus=bus,
        metrics=metrics,
        clock=clock,
    )
