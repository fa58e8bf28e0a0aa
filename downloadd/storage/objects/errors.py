"""Errors of object storage, as the client raises them, and their meaning for downloads.

Pure: no I/O and no clock.
"""

from typing import Final

from downloadd.errors import DownloadError, StorageAwayError, StorageError

_DENIED: Final = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "UnauthorizedAccess"})
_WRONG_CREDENTIALS: Final = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
_SKEWED: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_OTHER_PLACE: Final = frozenset({"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"})


class ObjectStorageError(Exception):
    """Response that reports an error, or none at all.

    Attributes:
        status: status of the response; 0 without one.
        code: code of S3, such as `NoSuchKey`; "" if the response has none.
        detail: what happened, in words.
    """

    def __init__(self, detail: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def is_missing_object(self) -> bool:
        """True if there is no object with the key."""
        return self.code == "NoSuchKey" or (self.status == 404 and not self.code)

    @property
    def is_missing_upload(self) -> bool:
        """True if the multipart upload was completed or aborted before."""
        return self.code == "NoSuchUpload"

    @property
    def may_pass(self) -> bool:
        """True if the same request may succeed in a moment."""
        return self.status in {0, 408, 409, 429, 500, 502, 503, 504}

    @property
    def is_about_credentials(self) -> bool:
        """True if the credentials are not accepted."""
        return self.code in _WRONG_CREDENTIALS or self.status == 401

    @property
    def is_unmet_condition(self) -> bool:
        """True if the condition of the request (`If-None-Match`, `If-Match`) is not met."""
        return self.status == 412 or self.code == "PreconditionFailed"


def map_object_error(error: ObjectStorageError, *, place: str) -> DownloadError:
    """Return the error of a download; `place` names the storage for the message.

    Nearly all of them hold the downloads of the storage until an administrator has mended it: the file is on the disk
    already, and must not be lost for a wrong key.
    """
    code = error.code
    if error.is_about_credentials:
        return StorageAwayError(f"{place} does not accept the credentials ({code or error.status}): correct them")
    if code in _DENIED or (error.status == 403 and not code):
        # The answer to a HEAD has no code.
        return StorageAwayError(f"{place} refuses it ({code or error.status}): check its credentials and their rights")
    if code in _SKEWED:
        return StorageAwayError(f"{place} refuses the time of this machine ({code}): set its clock")
    if code == "NoSuchBucket":
        return StorageAwayError(f"{place} does not exist ({code}): create the bucket, or correct the url")
    if code in _OTHER_PLACE or error.status in {301, 307}:
        return StorageAwayError(f"{place} is in another region ({code or error.status}): correct region or endpoint")
    if code == "EntityTooLarge":
        return StorageError(f"{place} does not take a file of this size ({code})")
    if code == "KeyTooLongError":
        return StorageError(f"{place} does not take a name of this length ({code}): choose a shorter directory or name")
    if not error.status:
        return StorageAwayError(f"{place} does not answer: {error.detail}")
    return StorageAwayError(f"{place} answers {error.status}: {error.detail}")
