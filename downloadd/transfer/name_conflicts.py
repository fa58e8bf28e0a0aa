"""Check of the final name before bytes are received in vain; publication decides again."""

from downloadd.download import Conflict, Download
from downloadd.errors import FileExistsAlreadyError
from downloadd.storage.destination import Destination
from downloadd.storage.names import parse_filename


async def is_skipped(download: Download, destination: Destination) -> bool:
    """Return True if the name of the download is taken and its conflict policy is `skip`.

    Raises:
        FileExistsAlreadyError: the name is taken and the policy is `error`.
        InvalidPathError: the recorded name is invalid.
    """
    if download.request.conflict not in {Conflict.SKIP, Conflict.ERROR}:
        return False
    if not await destination.exists(directory=download.request.directory, filename=parse_filename(download.filename)):
        return False
    if download.request.conflict is Conflict.ERROR:
        raise FileExistsAlreadyError(download.file_path)
    return True
