"""Choice of the storage: the disk, and other machines for the directories that the configuration names."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from ssl import SSLContext

import msgspec

from downloadd.clock import Clock
from downloadd.config import Config, RemoteStorageConfig
from downloadd.directory_settings import DirectorySettings
from downloadd.errors import StartupError
from downloadd.manager.abandoned_uploads import AbandonedUploads
from downloadd.manager.storage_identity import StorageIdentity
from downloadd.manager.tasks import TaskSet
from downloadd.metrics import UploadMetrics
from downloadd.records.store import Store
from downloadd.remote_upload import RemoteUpload
from downloadd.storage.destination import Destination, ReplaceableRoot
from downloadd.storage.finished_files import FileReader
from downloadd.storage.local import LocalDestination
from downloadd.storage.objects.credentials import CredentialsError
from downloadd.storage.objects.storage import ObjectStorage
from downloadd.storage.reclaim import Reclaim
from downloadd.storage.remote.remote_storage import FileDescription, RemoteStorage
from downloadd.storage.remote.uploader import abort_upload
from downloadd.storage.root_verifier import RootVerifier
from downloadd.storage.routing import RemoteStorages, RoutingDestination, RoutingFiles, add_staging_limit


class OpenedStorage(msgspec.Struct, frozen=True, kw_only=True):
    """The storage, by what the components need of it."""

    destination: Destination
    root: ReplaceableRoot
    files: FileReader


async def open_storage(
    stack: AsyncExitStack,
    config: Config,
    clock: Clock,
    *,
    records: Store,
    identity: StorageIdentity,
    metrics: UploadMetrics,
    directory_settings: Callable[[str], DirectorySettings],
    reclaim: Reclaim,
    environment: Mapping[str, str],
    tls: Callable[[str], SSLContext],
) -> OpenedStorage:
    """Open the storage that the configuration chooses; `stack` closes it.

    Raises:
        StartupError: it cannot be used.
    """
    limits = {each.path: each.staging_size for each in config.storages}
    local = await stack.enter_async_context(
        LocalDestination(
            config.storage.root,
            min_free=config.storage.min_free,
            fsync=config.storage.fsync,
            directory_settings=lambda directory: add_staging_limit(directory_settings(directory), limits, directory),
            reclaim=reclaim,
            verifier=RootVerifier(
                identity.expected,
                fsync=config.storage.fsync,
                on_identified=identity.record,
                is_shared=records.is_shared,
            ),
            has_commit_process=True,
            is_shared=records.is_shared,
        )
    )
    await identity.confirm()
    if not config.storages:
        return OpenedStorage(destination=local, root=local, files=local.finished_files)
    storages = RemoteStorages(
        [await _open_remote_storage(stack, each, clock, environment=environment, tls=tls) for each in config.storages]
    )
    destination = RoutingDestination(
        local, storages, records=records.uploads, describe=partial(_describe, records), clock=clock, metrics=metrics
    )
    tasks = TaskSet()
    stack.push_async_callback(tasks.cancel)
    tasks.spawn(AbandonedUploads(records.uploads, partial(_abort, storages), clock).watch())
    return OpenedStorage(destination=destination, root=destination, files=RoutingFiles(local.finished_files, storages))


async def _open_remote_storage(
    stack: AsyncExitStack,
    config: RemoteStorageConfig,
    clock: Clock,
    *,
    environment: Mapping[str, str],
    tls: Callable[[str], SSLContext],
) -> RemoteStorage:
    if config.url.startswith("sftp:"):
        return await _open_sftp_storage(stack, config, clock, environment)
    storage = ObjectStorage(config, clock=clock, environment=environment, tls=tls)
    try:
        return await stack.enter_async_context(storage)
    except CredentialsError as error:
        raise StartupError(
            f"the object storage of {storage.path} ({storage.url}) has no credentials: {error}; give it access_key_id "
            "and secret_access_key, or credentials_file, in [[storages]]"
        ) from error


async def _open_sftp_storage(
    stack: AsyncExitStack, config: RemoteStorageConfig, clock: Clock, environment: Mapping[str, str]
) -> RemoteStorage:
    try:
        from downloadd.storage.sftp.login import SftpLoginError
        from downloadd.storage.sftp.storage import SftpStorage
    except ModuleNotFoundError as error:
        if error.name != "asyncssh":
            raise
        raise StartupError(
            f"the storage of {config.path} needs a client for SSH: install it with pip install 'downloadd[sftp]'",
            exit_status=2,
        ) from None
    try:
        return await stack.enter_async_context(SftpStorage(config, clock=clock, environment=environment))
    except SftpLoginError as error:
        raise StartupError(f"the SFTP server of {config.path} ({config.url}) has no login: {error}") from error


async def _describe(records: Store, download_id: str) -> FileDescription:
    download = await records.get(download_id)
    if download is None:
        # A file of an import has no download.
        return FileDescription()
    return FileDescription(source_url=download.request.redacted_url, content_type=download.result.content_type or "")


async def _abort(storages: RemoteStorages, upload: RemoteUpload) -> None:
    storage = storages.find_url(upload.storage)
    if storage is not None:
        await abort_upload(storage, upload)
