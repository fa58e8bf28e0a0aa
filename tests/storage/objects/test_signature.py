"""Signature Version 4, with the examples of the specification."""

import hashlib

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from downloadd.storage.objects.signature import (
    ObjectCredentials,
    SignableRequest,
    authorize,
    canonical_request,
    encode_path,
    encode_query,
)

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
CREDENTIALS = ObjectCredentials(
    access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
COMMON = {"Host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"}


def sign(request: SignableRequest) -> str:
    return authorize(request, CREDENTIALS, region="us-east-1", timestamp="20130524T000000Z").rpartition("=")[2]


def test_a_get_with_a_range_is_signed_as_in_the_specification() -> None:
    request = SignableRequest(
        method="GET", path="/test.txt", headers={**COMMON, "Range": "bytes=0-9", "x-amz-content-sha256": EMPTY}
    )
    assert canonical_request(request).splitlines() == [
        "GET",
        "/test.txt",
        "",
        "host:examplebucket.s3.amazonaws.com",
        "range:bytes=0-9",
        f"x-amz-content-sha256:{EMPTY}",
        "x-amz-date:20130524T000000Z",
        "",
        "host;range;x-amz-content-sha256;x-amz-date",
        EMPTY,
    ]
    assert authorize(request, CREDENTIALS, region="us-east-1", timestamp="20130524T000000Z") == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_a_put_with_content_is_signed_as_in_the_specification() -> None:
    digest = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
    request = SignableRequest(
        method="PUT",
        path=encode_path("/test$file.text"),
        headers={
            **COMMON,
            "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": digest,
        },
        content_sha256=digest,
    )
    assert sign(request) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"


def test_a_query_without_a_value_is_signed_as_in_the_specification() -> None:
    request = SignableRequest(
        method="GET", path="/", query=[("lifecycle", "")], headers={**COMMON, "x-amz-content-sha256": EMPTY}
    )
    assert sign(request) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"


def test_a_list_of_objects_is_signed_as_in_the_specification() -> None:
    request = SignableRequest(
        method="GET",
        path="/",
        query=[("prefix", "J"), ("max-keys", "2")],
        headers={**COMMON, "x-amz-content-sha256": EMPTY},
    )
    assert sign(request) == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"


def test_all_characters_but_unreserved_ones_are_encoded() -> None:
    assert encode_path("/a b/ü+&=?#~._-") == "/a%20b/%C3%BC%2B%26%3D%3F%23~._-"
    assert encode_query([("b", "/ +"), ("a", ""), ("B", "~")]) == "B=~&a=&b=%2F%20%2B"


def test_no_secret_is_shown() -> None:
    assert repr(CREDENTIALS) == str(CREDENTIALS) == "ObjectCredentials(...)"


@given(st.text(), st.lists(st.tuples(st.text(), st.text())))
def test_each_text_that_has_utf_8_is_encoded_as_ascii(path: str, query: list[tuple[str, str]]) -> None:
    try:
        "".join([path, *(name + value for name, value in query)]).encode()
    except UnicodeEncodeError:
        return
    assert encode_path(path).isascii()
    assert encode_query(query).isascii()


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(codec="utf-8")))),
)
def test_the_signature_is_that_of_the_client_of_amazon(path: str, query: list[tuple[str, str]]) -> None:
    encoded, text = encode_path(f"/{path.lstrip('/')}"), encode_query(query)
    headers = {**COMMON, "x-amz-content-sha256": EMPTY, "x-amz-meta-a": " b   c "}
    theirs = AWSRequest(method="PUT", url=f"https://{COMMON['Host']}{encoded}?{text}", headers=headers)
    theirs.context["timestamp"] = COMMON["x-amz-date"]
    auth = S3SigV4Auth(
        Credentials(CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key),
        service_name="s3",
        region_name="us-east-1",
    )
    expected = auth.signature(auth.string_to_sign(theirs, auth.canonical_request(theirs)), theirs)
    assert sign(SignableRequest(method="PUT", path=encoded, query=query, headers=headers)) == expected
