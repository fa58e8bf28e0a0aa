"""Methods that clear the list of results; the downloads stay in the history of the REST API, and their files too."""

from downloadd.errors import InvalidStateError
from downloadd.fronts.aria2.errors import ErrorText, make_error
from downloadd.fronts.aria2.methods.context import OK, Context
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.states import FINISHED


async def purge_results(context: Context, _parameters: Parameters) -> str:
    """Clear all results so far."""
    await context.services.service.clear_results(context.user)
    return OK


async def remove_result(context: Context, parameters: Parameters) -> str:
    """Clear the result of one ended download."""
    snapshot = await context.find(parameters.text(0))
    error = make_error(ErrorText.CANNOT_REMOVE_RESULT, gid=snapshot.download.gid)
    if snapshot.download.state not in FINISHED:
        raise error
    try:
        await context.services.service.clear_result(context.user, snapshot.download.id)
    except InvalidStateError:
        raise error from None
    return OK
