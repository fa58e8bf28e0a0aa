"""The name of a file, and a warning if it does not fit the content, from the head of the response.

Pure: no I/O and no clock.
"""

from downloadd.download import Request
from downloadd.media_types import page_warning
from downloadd.policy.redaction import filename_from_url
from downloadd.policy.url import ParsedUrl
from downloadd.storage.names import SafeName, has_extension, suggest_name
from downloadd.transfer.classification import UseResponse


def name_file(
    request: Request, accepted: UseResponse, *, first_url: ParsedUrl, final_url: ParsedUrl, max_bytes: int
) -> SafeName:
    """Return the preferred final name of the file.

    The two URLs are those before and after redirects; `max_bytes` is the limit of the disk.
    """
    return suggest_name(
        request.requested_name,
        accepted.suggested_filename,
        filename_from_url(final_url),
        filename_from_url(first_url),
        max_bytes=max_bytes,
    )


def warn_of_page(request: Request, accepted: UseResponse, *, first_url: ParsedUrl, final_url: ParsedUrl) -> str | None:
    """Return a warning if the content is a web page and the name says that the file is something else, or None.

    The requested name decides, else that of Content-Disposition, else the URLs before and after redirects.
    """
    names = [filename_from_url(first_url), filename_from_url(final_url)]
    for stated in (accepted.suggested_filename, request.requested_name):
        if stated is not None and has_extension(stated):
            names = [stated]
    return page_warning(names, accepted.content_type)
