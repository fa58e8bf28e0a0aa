import pytest
from msgspec.structs import replace
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import OriginDigest, SupersededPart
from downloadd.transfer.representation import Representation, has_larger_superseded_copy, is_superseded_version

DIGEST = OriginDigest(source="Repr-Digest", checksum="md5=1")
OLD = SupersededPart(part_name="p", received=100, total=1000, validator='"1"', origin_digests=(DIGEST,))


def test_a_row_says_what_is_known_of_its_bytes() -> None:
    row = sample_download(total=9, validator='"v"', weak_tag='W/"w"', last_modified=5, content_type="Text/Plain; x=y")
    known = Representation.of(row)
    assert known == Representation(total=9, validator='"v"', weak_tag='W/"w"', last_modified=5, media_type="text/plain")
    assert known.has_strong_tag
    assert not Representation(validator="Sun, 06 Nov 1994 08:49:37 GMT").has_strong_tag
    assert Representation.of(with_fields(row, requested_checksum="md5=1")).has_digest
    assert Representation.of(with_fields(row, origin_digests=(DIGEST,))).has_digest
    assert Representation.of(with_fields(row, strict_resume=True)).is_strict


@pytest.mark.parametrize(
    ("found", "is_superseded"),
    [
        (Representation(total=1000, validator='"1"'), True),
        (Representation(total=1000, origin_digests=(DIGEST,)), True),
        (Representation(total=1001, validator='"1"'), False),
        (Representation(total=1000, validator='"2"'), False),
        (Representation(total=1000), False),
        (Representation(validator='"1"'), False),
        (Representation(total=1000, validator='"1"', coding="gzip"), False),
    ],
)
def test_a_superseded_version_is_proven_by_length_and_validator_or_digest(
    found: Representation, is_superseded: bool
) -> None:
    row = sample_download(superseded=OLD, validator='"2"')
    assert is_superseded_version(row, found, received=500) is is_superseded
    assert not is_superseded_version(sample_download(), found, received=500)


@pytest.mark.parametrize("received", [99, 100])
def test_a_superseded_file_of_the_same_version_is_continued_if_it_has_more_bytes(received: int) -> None:
    row = sample_download(superseded=OLD, validator='"1"', total=1000, received=received)
    found = Representation(total=1000, validator='"1"')
    assert is_superseded_version(row, found, received=received) is (received < 100)
    assert has_larger_superseded_copy(row.progress) is (received < 100)
    assert not has_larger_superseded_copy(replace(row.progress, validator='"2"'))
    assert not has_larger_superseded_copy(replace(row.progress, superseded=None))
