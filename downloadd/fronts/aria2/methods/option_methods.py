"""Methods that read and change options, of one download and of all."""

from downloadd.errors import InvalidParameterError, InvalidStateError
from downloadd.fronts.aria2.errors import ErrorText, make_error
from downloadd.fronts.aria2.methods.context import OK, Context
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.fronts.aria2.options.download_options import make_change
from downloadd.fronts.aria2.options.header_lines import make_field_parameters
from downloadd.fronts.aria2.options.locations import find_directory, join_root
from downloadd.fronts.aria2.options.option_report import end_header_lines, report_defaults, report_options
from downloadd.fronts.aria2.options.options import DOWNLOAD_USES, GLOBAL_USES, Options, bad_option, read_options
from downloadd.manager.protocol import DownloadChange
from downloadd.runtime_settings import SettingsChange
from downloadd.states import FINISHED
from downloadd.users import Permission

_NO_OPTIONS: Options = {}


async def get_option(context: Context, parameters: Parameters) -> dict[str, str]:
    """Return the options of a download; its request fields only to the user who started it."""
    download = (await context.find(parameters.text(0))).download
    services = context.services
    is_own = download.user == context.user.id and context.user.has_permission(Permission.DOWNLOAD)
    return end_header_lines(report_options(download, services.read_config(), services.root, shows_secrets=is_own))


async def change_option(context: Context, parameters: Parameters) -> str:
    """Change options of a download that has not ended."""
    gid, given = parameters.text(0), parameters.struct(1)
    services = context.services
    download = (await context.find(gid)).download
    if download.state in FINISHED:
        raise make_error(ErrorText.CANNOT_CHANGE_OPTION, gid=download.gid)
    options = read_options(given, DOWNLOAD_USES)
    present = report_options(download, services.read_config(), services.root, shows_secrets=True)
    changes = make_change(download, options, present, root=services.root)
    if changes == DownloadChange():
        return OK
    try:
        await services.service.amend(context.user, download.id, changes)
    except InvalidStateError as error:
        raise make_error(ErrorText.CANNOT_CHANGE_OPTION, gid=download.gid, reason=error.detail) from None
    return OK


async def get_global_option(context: Context, _parameters: Parameters) -> dict[str, str]:
    """Return the global options: those of the configuration, and those that the user has changed."""
    services = context.services
    settings = services.settings.get(context.user)
    return end_header_lines(
        {
            **report_defaults(services.read_config(), services.root),
            "max-concurrent-downloads": str(settings.max_concurrent),
            "max-overall-download-limit": str(settings.speed_limit),
            **services.global_options.of(context.user.id),
        }
    )


async def change_global_option(context: Context, parameters: Parameters) -> str:
    """Change global options: all of them, or none if one has an impossible value."""
    services = context.services
    options = read_options(parameters.struct(0), GLOBAL_USES)
    if "dir" in options:
        options["dir"] = join_root(services.root, find_directory(options["dir"], services.root))
    make_field_parameters(options, "")
    await _change_settings(context, options)
    services.global_options.change(context.user.id, options)
    return OK


async def _change_settings(context: Context, options: Options) -> None:
    concurrent, speed = options.get("max-concurrent-downloads"), options.get("max-overall-download-limit")
    if concurrent is None and speed is None:
        return
    changes = SettingsChange(
        max_concurrent=None if concurrent is None else int(concurrent),
        speed_limit=None if speed is None else int(speed),
    )
    try:
        await context.services.settings.change(context.user, changes)
    except InvalidParameterError as error:
        # Any speed is possible.
        raise bad_option("max-concurrent-downloads", error.detail) from None
