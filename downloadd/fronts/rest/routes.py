"""The table of routes: method, path, permission, handler and contract of each operation."""

from typing import Final

import msgspec

from downloadd.fronts.page.endpoints import PageEndpoints
from downloadd.fronts.rest import contracts
from downloadd.fronts.rest.bulk_actions import BULK, BulkEndpoint
from downloadd.fronts.rest.directory import DirectoryEndpoints
from downloadd.fronts.rest.directory_completion import DirectoryCompletionEndpoint
from downloadd.fronts.rest.downloads import DownloadEndpoints
from downloadd.fronts.rest.event_stream import EventStream
from downloadd.fronts.rest.explain import ExplainEndpoint
from downloadd.fronts.rest.files import FileEndpoints
from downloadd.fronts.rest.health import MonitoringEndpoints
from downloadd.fronts.rest.history import HistoryEndpoints
from downloadd.fronts.rest.hosts import HostsEndpoint
from downloadd.fronts.rest.nodes import NodesEndpoint
from downloadd.fronts.rest.openapi import DocumentEndpoint
from downloadd.fronts.rest.probe import ProbeEndpoint
from downloadd.fronts.rest.quota import QuotaEndpoint
from downloadd.fronts.rest.reference import ASSET_TYPES, ReferencePage
from downloadd.fronts.rest.route import Access, Route
from downloadd.fronts.rest.schedule_routes import build_schedule_routes
from downloadd.fronts.rest.schedules import ScheduleEndpoints
from downloadd.fronts.rest.settings import SettingsEndpoints
from downloadd.fronts.rest.user_routes import build_user_routes
from downloadd.fronts.rest.users import UserEndpoints
from downloadd.fronts.rest.waiting_list import QueueEndpoints
from downloadd.fronts.rocketchat.endpoints import ImportEndpoints
from downloadd.rights import REQUIRED_PERMISSIONS, Action


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The handlers that the routes call."""

    directory: DirectoryEndpoints
    downloads: DownloadEndpoints
    bulk: BulkEndpoint
    queue: QueueEndpoints
    history: HistoryEndpoints
    files: FileEndpoints
    events: EventStream
    health: MonitoringEndpoints
    imports: ImportEndpoints
    document: DocumentEndpoint
    directories: DirectoryCompletionEndpoint
    hosts: HostsEndpoint
    quota: QuotaEndpoint
    nodes: NodesEndpoint
    probe: ProbeEndpoint
    explain: ExplainEndpoint
    settings: SettingsEndpoints
    schedules: ScheduleEndpoints
    users: UserEndpoints
    page: PageEndpoints


_START: Final = REQUIRED_PERMISSIONS[Action.START]
_PROBE: Final = REQUIRED_PERMISSIONS[Action.PROBE]
_CANCEL: Final = REQUIRED_PERMISSIONS[Action.CANCEL]
_PAUSE: Final = REQUIRED_PERMISSIONS[Action.PAUSE]
_RESUME: Final = REQUIRED_PERMISSIONS[Action.RESUME]
_RETRY: Final = REQUIRED_PERMISSIONS[Action.RETRY]
_MOVE: Final = REQUIRED_PERMISSIONS[Action.MOVE]
_AMEND: Final = REQUIRED_PERMISSIONS[Action.AMEND]
_REMOVE: Final = REQUIRED_PERMISSIONS[Action.REMOVE]
_ACCEPT_STORAGE: Final = REQUIRED_PERMISSIONS[Action.ACCEPT_STORAGE]
_CHANGE_SETTINGS: Final = REQUIRED_PERMISSIONS[Action.CHANGE_SETTINGS]
_DIRECTORIES: Final = REQUIRED_PERMISSIONS[Action.LIST_DIRECTORIES]
_METRICS: Final = REQUIRED_PERMISSIONS[Action.READ_METRICS]
_VIEW: Final = REQUIRED_PERMISSIONS[Action.VIEW]
_READ_FILE: Final = REQUIRED_PERMISSIONS[Action.READ_FILE]
_IMPORT: Final = REQUIRED_PERMISSIONS[Action.IMPORT]
_VIEW_IMPORTS: Final = REQUIRED_PERMISSIONS[Action.VIEW_IMPORTS]
_AUTHENTICATED: Final = Access.AUTHENTICATED
_PUBLIC: Final = Access.PUBLIC
_DIRECTORY_PATH: Final = "/{directory}"
_DOWNLOADS_PATH: Final = "/api/v1/downloads"
_DOWNLOAD_PATH: Final = "/api/v1/downloads/{id}"
_SETTINGS_PATH: Final = "/api/v1/settings"
_API_PREFIX: Final = "/api/v1"


def build_routes(endpoints: Endpoints) -> tuple[Route, ...]:
    """Return the table of routes, as the OpenAPI document describes them."""
    c = contracts
    return (
        Route("GET", _DIRECTORY_PATH, _START, endpoints.directory.start, c.START, "Start a download", "download"),
        Route(
            "GET",
            _DIRECTORY_PATH,
            _VIEW,
            endpoints.directory.listing,
            c.DIRECTORY_LISTING,
            "List one directory",
            "downloads",
            True,
        ),
        Route(
            "GET",
            _DIRECTORY_PATH,
            _READ_FILE,
            endpoints.files.listing,
            c.FILES,
            "List the files of a directory",
            "files",
            True,
        ),
        Route("GET", "/", _VIEW, endpoints.history.page, c.HISTORY, "Read the history", "download_history", True),
        Route(
            "DELETE",
            "/",
            _REMOVE,
            endpoints.history.remove,
            c.REMOVE_HISTORY,
            "Remove entries of the history",
        ),
        Route(
            "GET",
            _DOWNLOADS_PATH,
            _VIEW,
            endpoints.downloads.listing,
            c.LISTING,
            "List all active downloads",
            head=True,
        ),
        Route("POST", _DOWNLOADS_PATH, _START, endpoints.downloads.batch, c.BATCH, "Start many downloads at once"),
        Route("POST", f"{_DOWNLOADS_PATH}/actions", _CANCEL, endpoints.bulk.apply, BULK, "Change many downloads"),
        Route(
            "POST",
            f"{_API_PREFIX}/explain",
            _START,
            endpoints.explain.explain,
            c.EXPLAIN,
            "Explain what would become of a download",
        ),
        Route("POST", f"{_API_PREFIX}/probe", _PROBE, endpoints.probe.probe, c.PROBE, "Probe a URL without a download"),
        Route("GET", _DOWNLOAD_PATH, _VIEW, endpoints.downloads.show, c.DOWNLOAD, "Look at one download", head=True),
        Route(
            "GET",
            f"{_DOWNLOAD_PATH}/file",
            _READ_FILE,
            endpoints.files.content,
            c.FILE,
            "Read a finished file",
            head=True,
            takes_ticket=True,
        ),
        Route(
            "POST", f"{_DOWNLOAD_PATH}/link", _READ_FILE, endpoints.files.link, c.FILE_LINK, "Link to a finished file"
        ),
        Route("DELETE", _DOWNLOAD_PATH, _CANCEL, endpoints.downloads.cancel, c.CANCEL, "Cancel or remove a download"),
        Route(
            "PATCH",
            _DOWNLOAD_PATH,
            _AMEND,
            endpoints.downloads.amend,
            c.AMEND,
            "Change a download",
        ),
        Route("POST", f"{_DOWNLOAD_PATH}/pause", _PAUSE, endpoints.downloads.pause, c.PAUSE, "Pause a download"),
        Route(
            "POST",
            f"{_DOWNLOAD_PATH}/resume",
            _RESUME,
            endpoints.downloads.resume,
            c.RESUME,
            "Resume a paused download",
        ),
        Route(
            "POST",
            f"{_DOWNLOAD_PATH}/move",
            _MOVE,
            endpoints.queue.move,
            c.MOVE,
            "Move a download that waits",
        ),
        Route(
            "POST",
            f"{_DOWNLOADS_PATH}/pause",
            _PAUSE,
            endpoints.queue.pause_all,
            c.PAUSE_ALL,
            "Pause all active downloads",
        ),
        Route(
            "POST",
            f"{_DOWNLOADS_PATH}/resume",
            _RESUME,
            endpoints.queue.resume_all,
            c.RESUME_ALL,
            "Resume all paused downloads",
        ),
        Route(
            "POST",
            f"{_DOWNLOAD_PATH}/retry",
            _RETRY,
            endpoints.downloads.retry,
            c.RETRY,
            "Try an ended download again",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/uploadImportFile",
            _IMPORT,
            endpoints.imports.upload,
            c.UPLOAD,
            "Upload an import file",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/imports",
            _IMPORT,
            endpoints.imports.upload_raw,
            c.UPLOAD_RAW,
            "Upload a big import file",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/downloadPublicImportFile",
            _IMPORT,
            endpoints.imports.fetch,
            c.FETCH_FILE,
            "Fetch an import",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/getImportFileData",
            _IMPORT,
            endpoints.imports.file_data,
            c.FILE_DATA,
            "Look into an import",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/getImportProgress",
            _IMPORT,
            endpoints.imports.progress,
            c.PROGRESS,
            "Ask how far it is",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/startImport",
            _IMPORT,
            endpoints.imports.start,
            c.START_IMPORT,
            "Choose what is imported",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/downloadPendingFiles",
            _IMPORT,
            endpoints.imports.pending_files,
            c.FETCH_PENDING,
            "Fetch files",
        ),
        Route(
            "POST",
            f"{_API_PREFIX}/downloadPendingAvatars",
            _IMPORT,
            endpoints.imports.pending_avatars,
            c.FETCH_PENDING,
            "Get avatars",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/getCurrentImportOperation",
            _IMPORT,
            endpoints.imports.current,
            c.CURRENT_OPERATION,
            "Look at the newest operation",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/getLatestImportOperations",
            _VIEW_IMPORTS,
            endpoints.imports.latest,
            c.LATEST_OPERATIONS,
            "List the latest operations",
        ),
        Route(
            "GET",
            f"{_API_PREFIX}/imports/{{id}}/skipped",
            _AUTHENTICATED,
            endpoints.imports.skipped,
            c.SKIPPED,
            "List what an import leaves out",
            head=True,
        ),
        Route(
            "DELETE",
            f"{_API_PREFIX}/imports/{{id}}",
            _IMPORT,
            endpoints.imports.cancel,
            c.CANCEL_IMPORT,
            "Cancel an import, and give up its failed files if asked to",
        ),
        Route("GET", "/api/v1/events", _VIEW, endpoints.events.stream, c.EVENTS, "Follow what happens"),
        Route(
            "POST",
            "/api/v1/storage/accept",
            _ACCEPT_STORAGE,
            endpoints.health.accept_storage,
            c.ACCEPT_STORAGE,
            "Confirm another storage root",
        ),
        Route("GET", "/api/v1/metrics", _METRICS, endpoints.health.metrics, c.METRICS, "Read the metrics", head=True),
        Route(
            "GET",
            "/api/v1/directories",
            _DIRECTORIES,
            endpoints.directories.show,
            c.DIRECTORIES,
            "List directories",
            head=True,
        ),
        Route(
            "GET", "/api/v1/hosts", _VIEW, endpoints.hosts.listing, c.HOSTS, "List hosts and their health", head=True
        ),
        Route("GET", f"{_API_PREFIX}/quota", _VIEW, endpoints.quota.show, c.QUOTA, "Read the own quotas", head=True),
        Route(
            "GET",
            f"{_API_PREFIX}/nodes",
            _VIEW,
            endpoints.nodes.listing,
            c.NODES,
            "List the nodes of the database",
            head=True,
        ),
        Route(
            "GET",
            _SETTINGS_PATH,
            _VIEW,
            endpoints.settings.show,
            c.SETTINGS,
            "Read the limits on all downloads",
            head=True,
        ),
        Route(
            "PATCH",
            _SETTINGS_PATH,
            _CHANGE_SETTINGS,
            endpoints.settings.change,
            c.CHANGE_SETTINGS,
            "Change the limits until the next restart or reload",
        ),
        *build_schedule_routes(endpoints.schedules),
        *build_user_routes(endpoints.users),
        Route(
            "GET",
            "/api/v1/errors",
            _AUTHENTICATED,
            endpoints.health.errors,
            c.ERROR_TABLE,
            "Read what errors mean",
            head=True,
        ),
        Route("GET", "/api/v1/health", _PUBLIC, endpoints.health.health, c.HEALTH, "Ask whether it runs", head=True),
        Route(
            "GET",
            "/api/v1/openapi.json",
            _AUTHENTICATED,
            endpoints.document.show,
            c.OPENAPI_DOCUMENT,
            "Read this document",
            head=True,
        ),
        Route("GET", "/", _PUBLIC, endpoints.page.index, c.INDEX, "Open the page", head=True),
    )


def build_browser_routes(page: PageEndpoints, reference: ReferencePage) -> tuple[Route, ...]:
    """Return the routes of files for browsers, which the OpenAPI document leaves out."""
    return (
        Route("GET", f"{_API_PREFIX}/page/{{file}}", _PUBLIC, page.file, contracts.PAGE, "Load a file", head=True),
        Route(
            "GET", f"{_API_PREFIX}/docs", _PUBLIC, reference.page, contracts.PAGE, "Try the API in a browser", head=True
        ),
        *(
            Route(
                "GET",
                f"{_API_PREFIX}/docs/{name}",
                _PUBLIC,
                reference.make_file_handler(name),
                contracts.PAGE,
                "Load a file",
                head=True,
            )
            for name in ASSET_TYPES
        ),
    )
