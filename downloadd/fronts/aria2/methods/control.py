"""Methods that remove, pause and unpause downloads."""

from downloadd.download import Snapshot
from downloadd.errors import InvalidStateError
from downloadd.fronts.aria2.errors import ErrorText, make_error
from downloadd.fronts.aria2.methods.context import OK, Context
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.fronts.aria2.status.status import Status, status_of
from downloadd.states import FINISHED


async def remove(context: Context, parameters: Parameters) -> str:
    """Cancel a download; return its gid."""
    snapshot = await context.find(parameters.text(0))
    gid = snapshot.download.gid
    if snapshot.download.state in FINISHED:
        raise make_error(ErrorText.NOT_ACTIVE, gid=gid)
    try:
        await context.services.service.cancel(context.user, snapshot.download.id)
    except InvalidStateError:
        raise make_error(ErrorText.NOT_ACTIVE, gid=gid) from None
    return gid


async def pause(context: Context, parameters: Parameters) -> str:
    """Pause an active or waiting download; return its gid."""
    snapshot = await context.find(parameters.text(0))
    gid = snapshot.download.gid
    if not _has_status(snapshot, Status.ACTIVE, Status.WAITING):
        raise make_error(ErrorText.CANNOT_PAUSE, gid=gid)
    try:
        await context.services.service.pause(context.user, snapshot.download.id)
    except InvalidStateError:
        raise make_error(ErrorText.CANNOT_PAUSE, gid=gid) from None
    return gid


async def unpause(context: Context, parameters: Parameters) -> str:
    """Resume a paused download; return its gid."""
    snapshot = await context.find(parameters.text(0))
    gid = snapshot.download.gid
    if not _has_status(snapshot, Status.PAUSED):
        raise make_error(ErrorText.CANNOT_UNPAUSE, gid=gid)
    try:
        await context.services.service.resume(context.user, snapshot.download.id)
    except InvalidStateError:
        raise make_error(ErrorText.CANNOT_UNPAUSE, gid=gid) from None
    return gid


async def pause_all(context: Context, _parameters: Parameters) -> str:
    """Pause all downloads that the user may change."""
    await context.services.service.pause_all(context.user)
    return OK


async def unpause_all(context: Context, _parameters: Parameters) -> str:
    """Resume all downloads that the user may change."""
    await context.services.service.resume_all(context.user)
    return OK


def _has_status(snapshot: Snapshot, *statuses: Status) -> bool:
    return status_of(snapshot.download) in statuses
