"""Context of a call: the services of the daemon, and the user who calls."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from downloadd.config import DownloadsConfig
from downloadd.download import Snapshot
from downloadd.errors import NotFoundError
from downloadd.fronts.aria2.errors import ErrorText, make_error
from downloadd.fronts.aria2.methods.list_answers import ListAnswers
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.fronts.aria2.options.global_options import GlobalOptions
from downloadd.fronts.aria2.status.status import View
from downloadd.gid import GidNotUniqueError, is_gid_prefix
from downloadd.service import DownloadService
from downloadd.settings_service import SettingsService
from downloadd.users import Permission, User
from downloadd.views import DownloadViews


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the daemon that methods use."""

    service: DownloadService
    views: DownloadViews
    settings: SettingsService
    global_options: GlobalOptions
    read_config: Callable[[], DownloadsConfig]
    """Function that returns the present configuration, which has the defaults of downloads."""
    list_answers: ListAnswers
    root: str
    """The absolute path of the storage root."""
    session_id: str
    shutdown: Callable[[], None] | None
    """Function that stops the daemon; None if clients may not."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a user."""

    services: Services
    user: User
    request_id: str | None

    @property
    def view(self) -> View:
        """The view of this user: whoever may start downloads sees the URLs as they were given."""
        return View(root=self.services.root, shows_urls=self.user.has_permission(Permission.DOWNLOAD))

    async def find(self, gid: str) -> Snapshot:
        """Return the download with a gid or with a unique prefix of one.

        Raises:
            RpcError: there is none, there are several, or it is not a gid.
        """
        if not is_gid_prefix(gid.lower()):
            raise make_error(ErrorText.INVALID_GID, gid=gid)
        try:
            return await self.services.views.find_gid(self.user, gid.lower())
        except NotFoundError:
            raise make_error(ErrorText.GID_NOT_FOUND, gid=gid) from None
        except GidNotUniqueError:
            raise make_error(ErrorText.GID_NOT_UNIQUE, gid=gid) from None


Handler = Callable[[Context, Parameters], Awaitable[Any]]
"""Function that performs a method and returns its result."""

OK = "OK"
"""Result of methods that have nothing else to say; clients ignore an empty one."""
