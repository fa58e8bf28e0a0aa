"""Types with which files are sent to browsers."""

import pytest

from downloadd.fronts.rest.file_types import OPAQUE_TYPE, choose_type


@pytest.mark.parametrize(
    ("filename", "content_type", "media_type"),
    [
        ("photo.jpg", "image/jpeg", "image/jpeg"),
        ("photo.jpg", "image/jpg; q=1", "image/jpeg"),
        ("photo.png", "application/octet-stream", "image/png"),
        ("film.mp4", None, "video/mp4"),
        ("song.mp3", "audio/mpeg", "audio/mpeg"),
        ("notes.txt", "text/plain; charset=latin-1", "text/plain; charset=utf-8"),
        ("data.json", "application/json", "text/plain; charset=utf-8"),
    ],
)
def test_passive_content_is_shown(filename: str, content_type: str | None, media_type: str) -> None:
    shown = choose_type(filename, content_type)
    assert (shown.media_type, shown.is_inline) == (media_type, True)
    assert not choose_type(filename, content_type, as_attachment=True).is_inline


@pytest.mark.parametrize(
    ("filename", "content_type"),
    [
        ("page", "text/html"),
        ("page.html", "image/png"),
        ("page.HTML", None),
        ("drawing.svg", "image/svg+xml"),
        ("drawing.png", "image/svg+xml"),
        ("feed.xml", "application/xml"),
        ("feed", "text/xml"),
        ("paper.pdf", "application/pdf"),
        ("paper", "application/pdf"),
        ("script.js", "text/javascript"),
        ("script.txt", "text/javascript"),
        ("archive.zip", "application/zip"),
        ("unknown", None),
        ("unknown.xyzzy", "made/up"),
    ],
)
def test_active_and_unknown_content_is_saved(filename: str, content_type: str | None) -> None:
    shown = choose_type(filename, content_type)
    assert (shown.media_type, shown.is_inline) == (OPAQUE_TYPE, False)
    assert shown.disposition(filename).startswith("attachment; ")


def test_a_name_is_sent_in_any_script_and_cannot_end_the_field() -> None:
    name = 'na\u00efve "file"; x=\u65e5\r\n.txt'
    value = choose_type(name, "text/plain").disposition(name)
    assert value == "inline; filename*=UTF-8''na%C3%AFve%20%22file%22%3B%20x%3D%E6%97%A5%0D%0A.txt"
