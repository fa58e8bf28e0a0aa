"""Errors of object storage."""

import pytest

from downloadd.errors import StorageAwayError
from downloadd.storage.objects.errors import ObjectStorageError, map_object_error


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "SignatureDoesNotMatch", "does not accept the credentials"),
        (403, "AccessDenied", "check its credentials and their rights"),
        (403, "", "refuses it (403)"),
        (403, "RequestTimeTooSkewed", "set its clock"),
        (404, "NoSuchBucket", "create the bucket"),
        (301, "PermanentRedirect", "another region"),
        (503, "SlowDown", "answers 503: d"),
        (0, "", "does not answer: d"),
    ],
)
def test_what_an_administrator_can_mend_holds_the_downloads(status: int, code: str, words: str) -> None:
    error = map_object_error(ObjectStorageError("d", status=status, code=code), place="the bucket")
    assert isinstance(error, StorageAwayError)
    assert words in error.detail
    assert error.detail.startswith("the bucket ")


@pytest.mark.parametrize("code", ["EntityTooLarge", "KeyTooLongError"])
def test_what_never_succeeds_ends_the_download(code: str) -> None:
    assert not map_object_error(ObjectStorageError("d", status=400, code=code), place="the bucket").transient
