"""Table of the methods: name, permission, and the function that performs each."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from downloadd.fronts.aria2.access.tokens import MULTICALL
from downloadd.fronts.aria2.methods import adding, control, option_methods, positions, reading, results, system_methods
from downloadd.fronts.aria2.methods.adding import Addition
from downloadd.fronts.aria2.methods.context import Context, Handler
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.fronts.aria2.status.notifications import NotificationMethod
from downloadd.users import Permission


class PerformedMethod(msgspec.Struct, frozen=True, kw_only=True):
    """Method whose function returns its result."""

    permission: Permission
    """Permission that the user of the token needs."""
    perform: Handler


class AddingMethod(msgspec.Struct, frozen=True, kw_only=True):
    """Method whose function returns downloads that are to be started."""

    permission: Permission = Permission.DOWNLOAD
    prepare: Callable[[Context, Parameters], Awaitable[Addition]]


Method = PerformedMethod | AddingMethod
"""Method that takes a token."""


def _reading(perform: Handler) -> Method:
    return PerformedMethod(permission=Permission.VIEW_DOWNLOADS, perform=perform)


def _changing(perform: Handler) -> Method:
    return PerformedMethod(permission=Permission.DOWNLOAD, perform=perform)


def _adding(prepare: Callable[[Context, Parameters], Awaitable[Addition]]) -> Method:
    return AddingMethod(prepare=prepare)


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "aria2.addUri": _adding(adding.prepare_uri),
        "aria2.addTorrent": _changing(adding.add_torrent),
        "aria2.addMetalink": _adding(adding.prepare_metalink),
        "aria2.remove": _changing(control.remove),
        "aria2.forceRemove": _changing(control.remove),
        "aria2.pause": _changing(control.pause),
        "aria2.forcePause": _changing(control.pause),
        "aria2.pauseAll": _changing(control.pause_all),
        "aria2.forcePauseAll": _changing(control.pause_all),
        "aria2.unpause": _changing(control.unpause),
        "aria2.unpauseAll": _changing(control.unpause_all),
        "aria2.changePosition": _changing(positions.change_position),
        "aria2.changeUri": _changing(positions.change_uri),
        "aria2.changeOption": _changing(option_methods.change_option),
        "aria2.changeGlobalOption": _changing(option_methods.change_global_option),
        "aria2.purgeDownloadResult": _changing(results.purge_results),
        "aria2.removeDownloadResult": _changing(results.remove_result),
        "aria2.tellStatus": _reading(reading.tell_status),
        "aria2.tellActive": _reading(reading.tell_active),
        "aria2.tellWaiting": _reading(reading.tell_waiting),
        "aria2.tellStopped": _reading(reading.tell_stopped),
        "aria2.getOption": _reading(option_methods.get_option),
        "aria2.getGlobalOption": _reading(option_methods.get_global_option),
        "aria2.getFiles": _reading(reading.get_files),
        "aria2.getUris": _reading(reading.get_uris),
        "aria2.getServers": _reading(reading.get_servers),
        "aria2.getPeers": _reading(reading.get_peers),
        "aria2.getGlobalStat": _reading(reading.get_global_stat),
        "aria2.getVersion": _reading(system_methods.get_version),
        "aria2.getSessionInfo": _reading(system_methods.get_session_info),
        "aria2.saveSession": _changing(system_methods.save_session),
        "aria2.shutdown": _changing(system_methods.shut_down),
        "aria2.forceShutdown": _changing(system_methods.shut_down),
    }
)
"""The methods that take a token, by their names."""

NAME_LISTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "system.listMethods": (*METHODS, MULTICALL, "system.listMethods", "system.listNotifications"),
        "system.listNotifications": tuple(method.value for method in NotificationMethod),
    }
)
"""Results of the methods that need no token: names of all methods, and of all notifications."""
