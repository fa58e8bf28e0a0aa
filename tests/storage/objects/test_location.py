"""Places of objects."""

import pytest

from downloadd.storage.objects.location import locate, parse_endpoint, parse_object_url, parse_region


def test_amazon_has_the_bucket_in_the_host() -> None:
    place = locate("s3://files/archive", region="eu-central-1")
    assert (place.origin, place.host) == (
        "https://files.s3.eu-central-1.amazonaws.com",
        "files.s3.eu-central-1.amazonaws.com",
    )
    assert place.path_of(place.key_of("a/b c.txt")) == "/archive/a/b c.txt"
    assert place.url == "s3://files/archive"


def test_a_bucket_with_a_dot_is_in_the_path_because_of_the_certificate() -> None:
    place = locate("s3://files.example", region="eu-central-1")
    assert place.origin == "https://s3.eu-central-1.amazonaws.com"
    assert place.path_of("a") == "/files.example/a"
    assert place.url == "s3://files.example"


def test_an_endpoint_has_the_bucket_in_the_path() -> None:
    place = locate("s3://files//a//b/", region="us-east-1", endpoint="http://NAS.lan:9000/")
    assert (place.origin, place.host, place.hostname) == ("http://nas.lan:9000", "nas.lan:9000", "nas.lan")
    assert place.path_of(place.key_of("c")) == "/files/a/b/c"


@pytest.mark.parametrize(
    "text", ["", "files", "http://files", "s3://", "s3://Files", "s3://a", "s3://a_/\n", "s3:/x/y"]
)
def test_a_malformed_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="s3://BUCKET"):
        parse_object_url(text)


@pytest.mark.parametrize("text", ["s3://files/a/../b", "s3://files/./b", f"s3://files/{'a' * 513}"])
def test_a_prefix_that_cannot_be_part_of_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        parse_object_url(text)


@pytest.mark.parametrize(
    "text",
    ["", "nas:9000", "ftp://nas", "http://", "http://u:p@nas", "http://nas/path", "http://nas?x", "http://nas:99999"],
)
def test_a_malformed_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="URL of a server"):
        parse_endpoint(text)


def test_a_malformed_region_is_refused() -> None:
    assert parse_region("eu-central-1") == "eu-central-1"
    with pytest.raises(ValueError, match="region"):
        parse_region("eu central")
