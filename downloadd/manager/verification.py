"""Verification of a complete part file: its length, and the digests of user and origin."""

from collections.abc import Sequence

from downloadd.download import Download
from downloadd.storage.destination import Part
from downloadd.verify import (
    DEFAULT_ALGORITHM,
    check_digest,
    check_length,
    check_size_and_type,
    checksum_algorithm,
    format_checksum,
)


def verify_size(part: Part, download: Download) -> None:
    """Compare the size of the part file with the complete length and with the size that the request states.

    Raises:
        DownloadError: it differs.
    """
    check_length(part.size, download.progress.total)
    # The origin may not have sent a length before.
    check_size_and_type(
        size=part.size, content_type=None, expected_size=download.request.expected_size, expected_type=None
    )


async def verify_digests(part: Part, download: Download, algorithms: Sequence[str]) -> Download:
    """Compute the digests of the part file, compare them, and return the row with the checksum to record.

    Raises:
        ChecksumMismatchError: a digest differs from the one of the user or of the origin.
    """
    digests = {name: format_checksum(name, await part.digest(name)) for name in algorithms}
    wanted = download.request.requested_checksum
    if wanted is not None:
        check_digest(wanted, digests[checksum_algorithm(wanted)])
    for stated in download.progress.origin_digests:
        check_digest(stated.checksum, digests[checksum_algorithm(stated.checksum)], source=stated.source)
    kept = DEFAULT_ALGORITHM if wanted is None else checksum_algorithm(wanted)
    return download.with_result(checksum=digests.get(DEFAULT_ALGORITHM) or digests.get(kept))
