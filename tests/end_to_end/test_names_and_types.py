"""Names that origins give, expected media types, and web pages in place of files."""

from typing import Any

import pytest
from support.daemon_process import DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, redirect
from support.waiting import wait_until

PAGE = ScriptedResponse(body=b"<html>sign in</html>", content_type="text/html; charset=utf-8")
WARNING = "the origin sent a web page (text/html) in place of a .zip file; it may be a login or error page"


async def fetch(daemon: DaemonProcess, url: str, **parameters: str) -> dict[str, Any]:
    """Fetch a file and return its history entry."""
    query = [("download", url), ("wait", "60"), *parameters.items()]
    status, answer = await daemon.request("GET", "/d", params=query)
    assert status == 201, answer
    return await daemon.get_download(answer["download_id"])


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("attachment; filename*=utf8''%E6%A1%88.txt", "案.txt"),
        ('attachment; filename="%E6%A1%88.txt"', "案.txt"),
        ('attachment; filename="=?gbk?B?zsQudHh0?="', "文.txt"),
        ("attachment; filename*0*=UTF-8''a%20; filename*1=b.txt", "a b.txt"),
        ('attachment; filename="C:\\files\\my "best".txt"', "my _best_.txt"),
        (b'attachment; filename="\xce\xc4\xbc\xfe.txt"'.decode("utf-8", "surrogateescape"), "文件.txt"),
        (b'attachment; filename="caf\xe9.txt"'.decode("utf-8", "surrogateescape"), "café.txt"),
        ("attachment; filename==?utf-8?Q?broken", "f"),
    ],
)
async def test_a_file_has_the_name_of_its_content_disposition(
    daemon: DaemonProcess, origin: Origin, field: str, name: str
) -> None:
    origin.script("/f", ScriptedResponse(size=10, headers=[("Content-Disposition", field)]))
    entry = await fetch(daemon, origin.url("/f"))
    assert (entry["filename"], entry["warning"]) == (name, None)
    assert list(daemon.files()) == [f"d/{name}"]


async def test_the_name_before_redirects_is_used_if_the_last_one_has_no_extension(
    daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/app.zip", redirect("/objects/6f1c"))
    origin.script("/objects/6f1c", ScriptedResponse(size=10))
    assert (await fetch(daemon, origin.url("/app.zip")))["filename"] == "app.zip"


async def test_a_web_page_in_place_of_a_file_is_saved_with_a_warning(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/app.zip", redirect("/login"))
    origin.script("/login", PAGE)
    status, answer = await daemon.request("GET", "/d", params={"download": origin.url("/app.zip"), "wait": "60"})
    assert (status, answer["warning"]) == (201, WARNING)
    entry = await daemon.get_download(answer["download_id"])
    assert (entry["status"], entry["warning"], entry["detail"]) == ("completed", WARNING, None)
    assert daemon.files() == {"d/app.zip": PAGE.body}


async def test_an_active_download_shows_the_warning(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/app.zip", ScriptedResponse(size=1_000_000, rate=1000, content_type="text/html"))
    _, answer = await daemon.request("GET", "/d", params={"download": origin.url("/app.zip")})

    async def warns() -> bool:
        return bool((await daemon.get_download(answer["download_id"]))["warning"] == WARNING)

    await wait_until(warns)


@pytest.mark.parametrize(
    ("expected", "content_type"),
    [("image/*", "text/html"), ("image/png", "image/gif"), ("file", "application/xhtml+xml; charset=utf-8")],
)
async def test_content_of_another_type_than_the_expected_one_is_not_saved(
    daemon: DaemonProcess, origin: Origin, expected: str, content_type: str
) -> None:
    origin.script("/f", ScriptedResponse(size=10, content_type=content_type))
    query = {"download": origin.url("/f"), "wait": "60", "type": expected}
    status, answer = await daemon.request("GET", "/d", params=query)
    assert (status, answer["error"]) == (502, "UNEXPECTED_CONTENT")
    assert content_type.partition(";")[0] in answer["detail"]
    assert daemon.files() == {}
    await wait_until(lambda: daemon.part_files() == [])


async def test_the_expected_type_is_part_of_a_batch(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10, content_type="image/gif"))
    items = [{"url": origin.url("/f"), "directory": "d", "type": type} for type in ("image/*", "picture")]
    _, answer = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
    good, bad = answer["downloads"]
    assert (bad["error"], bad["detail"].partition(":")[0]) == ("INVALID_PARAMETER", "type")
    assert (await daemon.wait_until_finished(good["download_id"]))["status"] == "completed"


RULES = """
[[directories]]
path = "films"
quota = 5000
[[rules]]
name = "films"
types = ["video/*"]
min_size = 1000
save_to = "films"
conflict = "overwrite"
[[rules]]
name = "rest"
save_to = "{directory}/rest"
"""


async def test_the_answer_of_the_origin_chooses_the_directory_with_its_quota(
    daemon: DaemonProcess, origin: Origin
) -> None:
    await daemon.reload(daemon.config.read_text() + RULES)
    origin.script("/film", ScriptedResponse(size=3000, content_type="video/mp4"))
    origin.script("/clip", ScriptedResponse(size=999, content_type="video/mp4"))
    assert (await fetch(daemon, origin.url("/film")))["file_path"] == "films/film"
    assert (await fetch(daemon, origin.url("/clip")))["file_path"] == "d/rest/clip"
    other = await daemon.start_download("d", origin.url("/film"), filename="other")
    ended = await daemon.wait_until_finished(other["download_id"])
    assert (ended["file_path"], ended["error"]) == ("films/other", "INSUFFICIENT_STORAGE")
    assert sorted(daemon.files()) == ["d/rest/clip", "films/film"]
