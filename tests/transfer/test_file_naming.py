import pytest
from msgspec.structs import replace

from downloadd.download import Request
from downloadd.policy.url import parse_url
from downloadd.transfer.classification import UseResponse
from downloadd.transfer.file_naming import name_file, warn_of_page
from downloadd.transfer.representation import Representation

REQUEST = Request(url="http://h/app.zip", redacted_url="http://h/app.zip", directory="", timeout=0)
FIRST = parse_url("http://h/app.zip")
FINAL = parse_url("http://cdn/objects/6f1c?name=x")
ACCEPTED = UseResponse(
    start=0,
    length=1,
    found=Representation(total=1),
    content_type="text/html; charset=utf-8",
    suggested_filename=None,
)


@pytest.mark.parametrize(
    ("requested", "disposition", "name"),
    [(None, None, "app.zip"), (None, "../sent.bin", "sent.bin"), ("mine", "sent.bin", "mine"), (None, "..", "app.zip")],
)
def test_a_file_has_the_best_name_of_request_fields_and_urls(
    requested: str | None, disposition: str | None, name: str
) -> None:
    request = replace(REQUEST, requested_name=requested)
    accepted = replace(ACCEPTED, suggested_filename=disposition)
    assert name_file(request, accepted, first_url=FIRST, final_url=FINAL, max_bytes=255) == name


@pytest.mark.parametrize(
    ("requested", "disposition", "first", "final", "extension"),
    [
        pytest.param(None, None, "app.zip", "login", "zip", id="the URL before redirects"),
        pytest.param(None, None, "app", "app.iso", "iso", id="the URL after redirects"),
        pytest.param(None, None, "app.zip", "login.html", "zip", id="a redirect to a page"),
        pytest.param(None, "sent.pdf", "app", "app", "pdf", id="Content-Disposition"),
        pytest.param(None, "page.html", "app.zip", "app.zip", None, id="Content-Disposition says that it is a page"),
        pytest.param(None, "page", "app.zip", "app.zip", "zip", id="Content-Disposition says nothing"),
        pytest.param("mine.mp4", "page.html", "a", "a", "mp4", id="the request"),
        pytest.param("mine.html", "sent.pdf", "app.zip", "app.zip", None, id="the request says that it is a page"),
        pytest.param("mine", None, "app.zip", "app.zip", "zip", id="the request says nothing"),
        pytest.param(None, None, "index.html", "index.html", None, id="a page"),
    ],
)
def test_a_page_under_the_name_of_another_file_gives_a_warning(
    requested: str | None, disposition: str | None, first: str, final: str, extension: str | None
) -> None:
    warning = warn_of_page(
        replace(REQUEST, requested_name=requested),
        replace(ACCEPTED, suggested_filename=disposition),
        first_url=parse_url(f"http://h/{first}"),
        final_url=parse_url(f"http://h/{final}"),
    )
    assert (warning is None) == (extension is None)
    assert extension is None or f"in place of a .{extension} file" in (warning or "")
