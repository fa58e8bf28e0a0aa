from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from downloadd.errors import InvalidUrlError
from downloadd.policy.redaction import MAX_URL_NESTING, filename_from_url, redact_misplaced_url, redact_url
from downloadd.policy.url import parse_url


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/a/b.tar.gz", "http://example.com", "https://example.com/@scope/pkg@1.2.3.tgz",
        "https://example.com/a?b=c+d&e=%2f&&x=&y", "http://example.com/a?", "http://h/a%40b?q=%40", "http://h/a;b;c=1",
        "https://example.com/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=1&X-Amz-Expires=3&X-Amz-SignedHeaders=host",
        "http://h/?t=1m30s", "http://evilslack.com/?t=1", "http://slack.com.evil/?t=1", "http://h/slack.com?t=1",
        "http://h/?keyword=a&monkey=b&author=c&design=d&codec=e&passage=f&sigma=g&page=2", "http://h/?=x&=", "", "?",
        "http://h/?a=b;c=d", "http://\u00fc.example/\u00fc?\u00fc=\u00fc", "ftp://h/x", "http://h/a b?c d=e f",
        "http://h/%zz?%zz=%zz", "http://h/?u=https%3A%2F%2Fe%2Fa%3Fb%3Dc%26d%3De&q=ann%40example.com&e=a%26b",
        "http://h/?u=https%3A%2F%2Fe%2F%40scope%2Fx&v=https://e/@scope/x", "http://h/https%3A%2F%2Fe%2Fa%3Fb%3Dc/x",
        "http://h/?u=%2Fa%3Fb%3Dc&v=%2541%252F%3D%20+&%=%&%25252525252525", "http://h/robot12:3/bot/bot12/bots:1",
        "http://h/?homer=a&oho=b&verified=c&policies=d&hashtag=e&rehash=f",
    ],
)  # fmt: skip
def test_a_url_without_secrets_is_shown_byte_for_byte(text: str) -> None:
    assert redact_url(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:S3CRET@h/a", "http://h/a"),
        ("http://S3CRET@h", "http://h"),
        ("http://:S3CRET@h?x=1", "http://h?x=1"),
        ("HTTPS://u:S3CRET@H:444/@x?y=@z", "HTTPS://H:444/@x?y=@z"),
        ("http://u:S3CRET%40x@[::1]/", "http://[::1]/"),
        ("http://h/a#access_token=S3CRET", "http://h/a"),
        ("http://h/a?b#S3CRET?c", "http://h/a?b"),
        ("http://h/;jsessionid=S3CRET/a;v=1?b=c", "http://h/;jsessionid=***/a;v=1?b=c"),
        ("http://h/?token=S3CRET/S3CRET==&x=1", "http://h/?token=***&x=1"),
        ("http://h/?token=S3CRET?S3CRET", "http://h/?token=***?S3CRET"),
        ("http://h/?x=1;token=S3CRET;y=2", "http://h/?x=1;token=***;y=2"),
        ("http://h/?x=1&amp;token=S3CRET", "http://h/?x=1&amp;token=***"),
        ("http://h/?next=http://h2/?token=S3CRET&x", "http://h/?next=http://h2/?token=***&x"),
        ("http://h/?TOKEN=S3CRET&Access_Token=S3CRET", "http://h/?TOKEN=***&Access_Token=***"),
        ("http://h/?%74oken=S3CRET&acce%73s%5Ftoken=S3CRET", "http://h/?%74oken=***&acce%73s%5Ftoken=***"),
        ("http://h/?token[]=S3CRET&a[token]=S3CRET", "http://h/?token[]=***&a[token]=***"),
        ("http://h/?+token+=S3CRET", "http://h/?+token+=***"),
        ("https://files.slack.com/x?t=xoxe-S3CRET&d=1", "https://files.slack.com/x?t=***&d=1"),
        ("https://Files.SLACK.com.:443/x?%74=S3CRET", "https://Files.SLACK.com.:443/x?%74=***"),
        ("https://mirror.example/x?t=xoxe-S3CRET&d=1", "https://mirror.example/x?t=***&d=1"),
        ("https://u:p@files.slack.com/x?t=S3CRET", "https://files.slack.com/x?t=***"),
        ("http://h/q?url=http%3A%2F%2Fu%3AS3CRET%40h%2F&x=1", "http://h/q?url=http%3A%2F%2Fh%2F&x=1"),
        ("http://h/q?url=http://u:S3CRET@h/&x=1", "http://h/q?url=http://h/&x=1"),
        ("http://h/?a=http%3a%2f%2fh%2f%3Fx%26token=S3CRET", "http://h/?a=http%3A%2F%2Fh%2F%3Fx%26token%3D***"),
        (
            "http://h/?n=https%3A%2F%2Fh%2F%3Ftoken%3DS3CRET%26x%3D1",
            "http://h/?n=https%3A%2F%2Fh%2F%3Ftoken%3D***%26x%3D1",
        ),
        ("http://h/?n=https%253A%252F%252Fh%253Fsig%253DS3CRET", "http://h/?n=https%253A%252F%252Fh%253Fsig%253D***"),
        ("http://h/?n=%2Flogin%3Fcode%3DS3CRET", "http://h/?n=%2Flogin%3Fcode%3D***"),
        ("http://h/?n=https%3A%2F%2Fh%2F%23S3CRET", "http://h/?n=https%3A%2F%2Fh%2F"),
        ("http://h/?n=%2F%2Fu%3AS3CRET%40h%2F", "http://h/?n=h%2F"),
        ("http://h/?n=redis%3A%2F%2Fu%3AS3CRET%40h%2F1", "http://h/?n=h%2F1"),
        ("http://h/?https%3A%2F%2Fh%3Fkey%3DS3CRET", "http://h/?https%3A%2F%2Fh%3Fkey%3D***"),
        (
            "http://h/?n=https%3A%2F%2Ffiles.slack.com%2Fx%3Ft%3DS3CRET",
            "http://h/?n=https%3A%2F%2Ffiles.slack.com%2Fx%3Ft%3D***",
        ),
        ("http://h/p/https%3A%2F%2Fh%2F%3Ftoken%3DS3CRET/x", "http://h/p/https%3A%2F%2Fh%2F%3Ftoken%3D***/x"),
        ("http://h/p/x%3Fa%3D1%26token%3DS3CRET/y", "http://h/p/x%3Fa%3D1%26token%3D***/y"),
        ("http://[bad/?u=http%3A%2F%2Fu%3Ap%40h%3Fsig%3DS3CRET", "http://h%3Fsig%3D***"),
        ("http://h/p/https%3A%2F%2Fu%3AS3CRET%40h", "http://h/p/https%3A%2F%2Fh"),
        (
            "https://api.telegram.org/file/bot123:S3CRET/photos/a.jpg",
            "https://api.telegram.org/file/bot123:***/photos/a.jpg",
        ),
        ("https://api.telegram.org/bot123%3AS3CRET/getMe?x=1", "https://api.telegram.org/bot123%3A***/getMe?x=1"),
        ("https://api.telegram.org/bot123:S3CRET", "https://api.telegram.org/bot123:***"),
    ],
)
def test_secrets_are_left_out_or_masked_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact_url(text) == shown


@pytest.mark.parametrize(
    "name",
    [
        "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "AWSAccessKeyId", "Signature",
        "X-Goog-Signature", "X-Goog-Credential", "GoogleAccessId", "sig", "token", "access_token",
        "refresh_token", "id_token", "api_key",
        "apikey", "api-key", "key", "auth", "authorization", "password", "passwd", "pwd", "pass", "secret",
        "client_secret", "code", "session", "session_id", "sessionid", "PHPSESSID", "sid", "jwt", "oauth_token",
        "oauth_signature", "private_token", "privateKey", "x-api-key", "OSSAccessKeyId", "Key-Pair-Id", "hdnts", "sign",
        "auth_key", "rlkey", "resourcekey", "tempauth", "subscription-key", "ticket", "__token__", "wsSecret",
        "otp", "md5", "Passphrase", "x-oss-signature", "AccountKey", "sharedKey", "SAMLResponse", "hmac", "bearer",
        "hm", "oh", "verify", "Policy", "hash",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [str, str.upper, str.lower])
def test_a_parameter_is_secret_by_its_name(name: str, form: type[str]) -> None:
    assert redact_url(f"http://h/?a=1&{form(name)}=S3CRET&b=2") == f"http://h/?a=1&{form(name)}=***&b=2"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:S3CRET@", "http://"),
        ("https:/user:S3CRET@host", "https:/host"),
        ("https:user:S3CRET@host", "https:host"),
        ("http:///user:S3CRET@host/x", "http:///host/x"),
        ("http:\\\\user:S3CRET@host\\x", "http:\\\\host\\x"),
        ("ftp://u:S3CRET@h/", "ftp://h/"),
        ("user:S3CRET@host/x", "host/x"),
        ("//user:S3CRET@host/x", "host/x"),
        ("weird+scheme://user:S3CRET@host", "host"),
        (" http://user:S3CRET@host", "host"),
        ("\x00http://user:S3CRET@host", "host"),
        ("ht\ntp://user:S3CRET@host", "host"),
        ("http://a@user:S3CRET@host/", "http://host/"),
        ("http://user:S3@CRET@host/", "http://host/"),
        ("http://user:S3/CRET@host/", "http://host/"),
        ("http://user:S3#CRET@host/", "http://host/"),
        ("http://user:S3?CRET@host/", "http://host/"),
        ("http://user:S3\\CRET@host/", "http://host/"),
        ("http://user:S3 CRET@host/", "http://host/"),
        ("http://user:S3CRET@host:port/", "http://host:port/"),
        ("http://user:S3CRET@[::1/", "http://[::1/"),
        ("http://user:S3CRET%40host/", "http://host/"),
        ("http://user:S3CRET\uff20host/", "http://host/"),
        ("http://user:S3CRET@h:x/?token=S3CRET#S3CRET", "http://h:x/?token=***"),
        ("?token=S3CRET", "?token=***"),
        ("&&?a&token=S3CRET", "&&?a&token=***"),
        ("http://h/\ud800?token=S3CRET", "http://h/\ufffd?token=***"),
    ],
)
def test_of_a_malformed_url_the_userinfo_is_left_out_too(text: str, shown: str) -> None:
    assert redact_url(text) == shown


words = st.text("abcDEF0123456789-_.~!$&'()*+,;=:/?#@%[] \u00fc\\", max_size=15)


@given(words, words, words, st.sampled_from(["http://", "https://", "http:/", "ftp://", "", "//", "HTTP:\\\\", "x:"]))
@example("", "", "", "http://")
@example("", "/", "", "http://")
def test_a_password_is_never_shown(user: str, before: str, after: str, prefix: str) -> None:
    text = f"{prefix}{user}:{before}S3CRET@host.example{after}"
    # "host:1/S3CRET@x" is a well-formed URL whose path holds an at sign; nothing says that it is a password.
    with suppress(InvalidUrlError):
        assume("S3CRET" not in parse_url(text).request_target)
    assert "S3CRET" not in redact_url(text)


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_shown_and_written_down(text: str) -> None:
    redact_url(text).encode("utf-8")


@given(words, st.text("abc=/%+", max_size=20))
def test_a_value_of_a_secret_name_is_never_shown(path: str, value: str) -> None:
    assert f"S3CRET{value}" not in redact_url(f"http://h/{path}?a=b&X-Amz-Signature=S3CRET{value}&c=d")


pieces = st.sampled_from(
    [
        "http://",
        "%3A",
        "%2F",
        "%3F",
        "%26",
        "%23",
        "%40",
        "%25",
        "@",
        "/",
        "?",
        "&",
        ";",
        "=",
        "token",
        "a",
        "bot1:",
        "+",
        "%3D",
    ]
)


@given(st.text() | st.lists(pieces).map("".join))
@example("http%3A%2F%2Fa@")
@example("a=%2F%2F%2540%40")
def test_a_redacted_url_is_not_redacted_further(text: str) -> None:
    shown = redact_url(f"http://u:p@h/?{text}")
    assert redact_url(shown) == shown


@given(
    words,
    st.integers(1, MAX_URL_NESTING),
    st.sampled_from(["u:S3CRET@h/{0}", "h/{0}?token=S3CRET", "h/a?b={0}&sig=S3CRET"]),
)
def test_a_secret_of_a_url_within_a_url_is_never_shown(text: str, times: int, form: str) -> None:
    inner = form.format(quote(text, safe=""))
    encoded = f"https://{inner}"
    for _ in range(times):
        encoded = quote(encoded, safe="")
    for outer in (f"https://h/?a=1&url={encoded}&b=2", f"https://h/?{encoded}"):
        assert "S3CRET" not in redact_url(outer)


@given(st.text("abcDEF0123456789-_.~!$'()*+,=:/[] \u00fc\\", max_size=15))
def test_a_value_without_secrets_stays_however_it_is_encoded(text: str) -> None:
    for value in (quote(text, safe=""), quote(f"https://example.com/{text}?b=c", safe="")):
        assert redact_url(f"http://h/?a={value}") == f"http://h/?a={value}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:S3CRET@h/x", "https://h/x"),
        ("https:/u:S3CRET@h/x", "https:/h/x"),
        ("https:\\\\u:S3CRET@h", "https:\\\\h"),
        ("http://h/?token=S3CRET", "http://h/?token=***"),
        ("a/http://u:S3CRET@h/x", "h/x"),
        ("a@b/c?token=d#e.txt", "a@b/c?token=d#e.txt"),
        ("file: a#b@c.txt", "file: a#b@c.txt"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("", ""),
    ],
)
def test_a_name_is_shown_as_it_is_unless_it_is_a_url(text: str, shown: str) -> None:
    assert redact_misplaced_url(text) == shown


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        ("http://h", ""),
        ("http://h?a/b", ""),
        ("http://h/", ""),
        ("http://h/a/", ""),
        ("http://h/a/b.tar.gz?x=/y", "b.tar.gz"),
        ("http://h/a%20b%2Fc", "a b/c"),
        ("http://h/\u00fc", "\u00fc"),
        ("http://h/%ff+", "\u00ff+"),
        ("http://h/%CE%C4%BC%FE.txt", "\u6587\u4ef6.txt"),
        ("http://h/f;v=1;token=S3CRET;w", "f;v=1;w"),
        ("http://h/;jsessionid=S3CRET", ""),
        ("http://S3CRET@h", ""),
        ("http://h/a#S3CRET", "a"),
        ("http://h/bot123:S3CRET", "bot123"),
        ("http://h/bot123%3AS3CRET", "bot123"),
        ("http://h/https%3A%2F%2Fh%2Fx%3Ftoken%3DS3CRET", "https://h/x?token=***"),
    ],
)
def test_a_file_is_named_by_the_last_segment_without_secrets(text: str, segment: str) -> None:
    assert filename_from_url(parse_url(text)) == segment
