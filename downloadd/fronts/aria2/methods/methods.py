"""The methods of aria2's RPC, as the wire formats call them."""

import secrets
from collections.abc import Callable, Sequence

from downloadd.config import DownloadsConfig
from downloadd.events import Event
from downloadd.fronts.aria2.calls import Call, Outcome
from downloadd.fronts.aria2.methods.batch import Authenticate, Batch
from downloadd.fronts.aria2.methods.context import Services
from downloadd.fronts.aria2.methods.list_answers import ListAnswers
from downloadd.fronts.aria2.methods.multicall import collect, expand
from downloadd.fronts.aria2.options.global_options import GlobalOptions
from downloadd.fronts.aria2.status.interruptions import Interruptions
from downloadd.fronts.aria2.status.notifications import Notification, notification_of
from downloadd.service import DownloadService
from downloadd.settings_service import SettingsService
from downloadd.views import DownloadViews


class Methods:
    """All methods, for all users."""

    def __init__(
        self,
        *,
        service: DownloadService,
        views: DownloadViews,
        settings: SettingsService,
        authenticate: Authenticate,
        read_config: Callable[[], DownloadsConfig],
        root: str,
        shutdown: Callable[[], None] | None = None,
    ) -> None:
        """Make the methods.

        Args:
            service: the actions of users on downloads.
            views: the downloads as users see them.
            settings: the limits that users may change.
            authenticate: returns the user of a token; None if it is wrong.
            read_config: returns the present configuration of downloads.
            root: the absolute path of the storage root.
            shutdown: stops the daemon; None if clients may not.
        """
        self._authenticate = authenticate
        self._interruptions = Interruptions()
        self._services = Services(
            service=service,
            views=views,
            settings=settings,
            global_options=GlobalOptions(),
            read_config=read_config,
            list_answers=ListAnswers(),
            root=root,
            session_id=secrets.token_hex(20),
            shutdown=shutdown,
        )

    async def call_all(self, calls: Sequence[Call], *, request_id: str | None) -> list[Outcome]:
        """Perform calls in order and return the outcome of each; errors of calls are outcomes.

        Neighbouring calls that add downloads, also those within calls, are recorded in one transaction.
        """
        expansions = [expand(call) for call in calls]
        batch = Batch(self._services, self._authenticate, request_id=request_id)
        outcomes = iter(await batch.perform([call for each in expansions for call in each.calls]))
        return [collect(each, [next(outcomes) for _ in each.calls]) for each in expansions]

    def notification_of(self, event: Event) -> Notification | None:
        """Return the notification of an event; most have none."""
        return notification_of(event, self._interruptions)
