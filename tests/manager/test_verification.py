"""Verification of a part file with a fake one."""

import hashlib
from typing import cast

import pytest
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import OriginDigest
from downloadd.errors import ChecksumMismatchError, NetworkError, UnexpectedContentError
from downloadd.manager.verification import verify_digests, verify_size
from downloadd.storage.destination import Part

CONTENT = b"content"
SHA_256 = f"sha-256={hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5={hashlib.md5(CONTENT).hexdigest()}"


class FakePart:
    size = len(CONTENT)

    async def digest(self, algorithm: str) -> str:
        return hashlib.new(algorithm.replace("-", ""), CONTENT).hexdigest()


PART = cast(Part, FakePart())


def test_the_size_is_that_of_the_origin_and_of_the_request() -> None:
    verify_size(PART, sample_download(total=7, expected_size=7))
    verify_size(PART, sample_download())
    with pytest.raises(NetworkError):
        verify_size(PART, sample_download(total=8))
    with pytest.raises(UnexpectedContentError):
        verify_size(PART, sample_download(expected_size=8))


@pytest.mark.parametrize(
    ("requested", "algorithms", "recorded"),
    [(None, ["sha-256"], SHA_256), (MD5, ["md5"], MD5), (MD5, ["md5", "sha-256"], SHA_256)],
)
async def test_a_matching_digest_is_recorded(requested: str | None, algorithms: list[str], recorded: str) -> None:
    row = await verify_digests(PART, sample_download(requested_checksum=requested), algorithms)
    assert row.result.checksum == recorded


async def test_digests_of_the_user_and_of_the_origin_are_compared() -> None:
    wrong = f"sha-256={'0' * 64}"
    row = sample_download(requested_checksum=wrong)
    with pytest.raises(ChecksumMismatchError) as caught:
        await verify_digests(PART, row, ["sha-256"])
    assert caught.value.source is None
    row = with_fields(row, requested_checksum=SHA_256, origin_digests=(OriginDigest(source="Digest", checksum=wrong),))
    with pytest.raises(ChecksumMismatchError) as caught:
        await verify_digests(PART, row, ["sha-256"])
    assert caught.value.source == "Digest"
