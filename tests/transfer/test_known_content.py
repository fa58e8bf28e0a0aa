"""Evidence that a published file has the bytes of a representation."""

import pytest
from msgspec.structs import replace
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import Download, Mirror, OriginDigest, ResumedBy
from downloadd.request_fields import Method, RequestFields
from downloadd.states import State
from downloadd.transfer.known_content import is_same_version, may_share, resource_of, resource_of_url
from downloadd.transfer.representation import Representation

DIGEST = OriginDigest(source="Repr-Digest", checksum="md5=0")
KNOWN = with_fields(
    sample_download(state=State.COMPLETED),
    url="https://example.com/a?b=c",
    validator='"v"',
    total=3,
    origin_digests=(DIGEST,),
    final_url_digest="f",
    coding="gzip",
)
FOUND = Representation(validator='"v"', total=3, coding="gzip", origin_digests=(DIGEST,))


def test_a_url_has_one_digest_in_any_spelling_and_with_any_login() -> None:
    digest = resource_of_url("https://example.com/a?b=c")
    assert len(digest or "") == 32
    assert resource_of_url("HTTPS://ann:pass@EXAMPLE.com:443/a?b=c#end") == digest
    others = ["http://example.com/a?b=c", "https://example.com/a?b=d", "https://example.com/A?b=c"]
    assert digest not in map(resource_of_url, others)


@pytest.mark.parametrize("url", ["https://example.com/a?token=x", "https://example.com/;sid=1/a", "nonsense"])
def test_a_url_with_secrets_has_none(url: str) -> None:
    assert resource_of_url(url) is None


def test_a_completed_download_has_that_of_its_url() -> None:
    assert resource_of(KNOWN) == resource_of_url("https://example.com/a?b=c")
    assert resource_of(with_fields(KNOWN, resumed_by=ResumedBy.VALIDATOR)) == resource_of(KNOWN)


@pytest.mark.parametrize(
    "fields",
    [
        {"validator": None},
        {"validator": 'W/"v"'},
        {"validator": "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"total": None},
        {"mirrors": (Mirror(url="https://b/"),)},
        {"fields": RequestFields(method=Method.POST)},
        {"resumed_by": ResumedBy.OVERLAP},
        {"resumed_by": ResumedBy.DIGEST},
    ],
)
def test_a_download_without_a_strong_entity_tag_of_its_url_has_none(fields: dict[str, object]) -> None:
    assert resource_of(with_fields(KNOWN, **fields)) is None


SECRET = RequestFields(headers=(("Authorization", "Bearer x"),))


@pytest.mark.parametrize(
    ("known", "new", "expected"),
    [
        ({}, {}, True),
        ({"secrets_removed": True}, {}, False),
        ({}, {"fields": SECRET}, False),
        ({}, {"url": "https://eve:pass@example.com/a?b=c"}, False),
        ({"secrets_removed": True}, {"fields": SECRET, "user": "ann"}, True),
    ],
)
def test_what_was_requested_with_credentials_is_for_its_user_only(
    known: dict[str, object], new: dict[str, object], expected: bool
) -> None:
    download = with_fields(sample_download(), **{"user": "eve", "url": "https://example.com/a?b=c", **new})
    assert may_share(with_fields(KNOWN, user="ann", **known), download) is expected


def same(known: Download = KNOWN, found: Representation = FOUND, digest: str | None = "f") -> bool:
    return is_same_version(known, found, final_url_digest=digest)


def test_the_same_entity_tag_and_length_are_the_same_version() -> None:
    assert same()
    assert same(found=replace(FOUND, origin_digests=()))


@pytest.mark.parametrize(
    "fields",
    [
        {"validator": '"w"'},
        {"validator": None, "weak_tag": 'W/"v"'},
        {"total": 4},
        {"total": None},
        {"coding": None},
        {"origin_digests": (OriginDigest(source="Digest", checksum="md5=1"),)},
    ],
)
def test_another_or_an_unknown_property_is_another_version(fields: dict[str, object]) -> None:
    assert not same(found=replace(FOUND, **fields))


def test_another_target_of_redirects_is_another_version() -> None:
    assert not same(digest=None)


@pytest.mark.parametrize("validator", [None, 'W/"v"', "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_equal_weak_validators_are_no_evidence(validator: str | None) -> None:
    assert not same(with_fields(KNOWN, validator=validator), replace(FOUND, validator=validator))
