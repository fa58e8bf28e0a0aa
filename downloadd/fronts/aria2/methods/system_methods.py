"""Methods about the daemon itself."""

from typing import Any, Final

from downloadd.fronts.aria2.errors import refuse
from downloadd.fronts.aria2.methods.context import OK, Context
from downloadd.fronts.aria2.methods.parameters import Parameters

VERSION: Final = "1.37.0"
"""Version of aria2 whose interface this is; Sonarr requires 1.34.0 at least."""

FEATURES: Final = ("Async DNS", "HTTPS", "Message Digest", "Metalink", "XML-RPC")
"""Features of aria2 that there are here too."""


async def get_version(_context: Context, _parameters: Parameters) -> dict[str, Any]:
    """Return the version of the interface and the features."""
    return {"version": VERSION, "enabledFeatures": list(FEATURES)}


async def get_session_info(context: Context, _parameters: Parameters) -> dict[str, str]:
    """Return the id of the process."""
    return {"sessionId": context.services.session_id}


async def save_session(_context: Context, _parameters: Parameters) -> str:
    """Return at once: everything is saved already."""
    return OK


async def shut_down(context: Context, _parameters: Parameters) -> str:
    """Stop the daemon, if the configuration lets clients do so."""
    if context.services.shutdown is None:
        raise refuse("Clients may not stop this daemon; aria2.allow_shutdown = true in its configuration lets them")
    context.services.shutdown()
    return OK
