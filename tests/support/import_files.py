"""Import files of each kind, and the items that importers read from them."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from downloadd.import_operation import FileLink, ImportItem, SkippedEntry
from downloadd.imports.importers import IMPORTERS


def packed(members: Mapping[str, Any]) -> bytes:
    """Return a zip of these members; those that are neither bytes nor text are written as JSON."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content if isinstance(content, bytes | str) else json.dumps(content))
    return file.getvalue()


def read(key: str, data: bytes) -> list[ImportItem]:
    """Return the items that the importer with this key reads."""
    return list(IMPORTERS[key].read(io.BytesIO(data)))


def links(items: list[ImportItem]) -> list[FileLink]:
    """Return the files among the items."""
    return [item for item in items if isinstance(item, FileLink)]


def skipped(items: list[ImportItem]) -> list[str]:
    """Return the details of the skipped entries."""
    return [item.detail for item in items if isinstance(item, SkippedEntry)]


def reasons(items: list[ImportItem]) -> list[str]:
    """Return the codes of the reasons of the skipped entries."""
    return [item.reason for item in items if isinstance(item, SkippedEntry)]


def slack_file(id: str = "F1", **fields: Any) -> dict[str, Any]:
    """Return a file as exports describe it: https://api.slack.com/types/file."""
    return {
        "id": id,
        "created": 1531763342,
        "timestamp": 1531763342,
        "name": "tedair.gif",
        "title": "tedair.gif",
        "mimetype": "image/gif",
        "filetype": "gif",
        "user": "U1",
        "mode": "hosted",
        "is_external": False,
        "size": 137531,
        "url_private": f"https://files.slack.com/files-pri/T1-{id}/tedair.gif",
        "url_private_download": f"https://files.slack.com/files-pri/T1-{id}/download/tedair.gif?t=xoxe-1",
        **fields,
    }


EXPORT: dict[str, Any] = {
    "users.json": [
        {"id": "U1", "name": "ann", "deleted": False, "is_bot": False,
         "profile": {"email": "ann@example.com", "image_512": "https://a/512.png", "image_original": "https://a/o.png"}},
        {"id": "U2", "name": "robot", "deleted": True, "is_bot": True, "profile": {"image_512": "https://a/r.png"}},
        {"id": "U3", "name": "bare"},
    ],
    "channels.json": [{"id": "C1", "name": "general", "is_archived": False, "members": ["U1"]},
                      {"id": "C2", "name": "old", "is_archived": True}],
    "groups.json": [{"id": "G1", "name": "secret", "is_archived": False}],
    "mpims.json": [{"id": "G2", "name": "mpdm-ann--robot-1"}],
    "dms.json": [{"id": "D1", "members": ["U1", "U2"]}],
    "general/2020-01-01.json": [
        {"type": "message", "user": "U1", "text": "look", "ts": "1531763348.000002", "files": [slack_file()]},
        {"type": "message", "user": "U2", "ts": "1531763349.0", "files": [slack_file(), slack_file("F2")]},
        {"type": "message", "user": "U1", "ts": "1531763350.0", "thread_ts": "1.0", "files": [slack_file("F3")]},
        {"type": "message", "subtype": "file_share", "user": "U1", "ts": "1.0", "file": slack_file("F4")},
        {"type": "message", "text": "nothing", "user": "U1", "ts": "2.0"},
    ],
    "general/2020-01-02.json": [
        {"type": "message", "ts": "3.0", "files": [
            {"id": "F5", "mode": "tombstone"}, {"id": "F6", "mode": "hidden_by_limit"},
            slack_file("F7", mode="external", is_external=True, url_private_download=None)]},
    ],
    "secret/2020-01-01.json": [{"type": "message", "user": "U1", "ts": "4.0", "files": [slack_file("F8", name=None)]}],
    "D1/2020-01-01.json": [{"type": "message", "user": "U1", "ts": "5.0", "files": [slack_file("F9")]}],
}  # fmt: skip  # fmt: skip


METALINK = """<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <published>2009-05-15T12:23:23Z</published>
  <file name="dir/example.ext">
    <size>14471447</size>
    <identity>Example</identity>
    <hash type="sha-1">80bc95fd391772fa61c91ed68567f0980bb45fd9</hash>
    <hash type="sha-256">F0AD929CD259957E160EA442EB80986B5F01A1B4F0AD929CD259957E160EA442</hash>
    <pieces length="1048576" type="sha-256"><hash>aa</hash></pieces>
    <url location="de" priority="2">https://b.example/example.ext</url>
    <url>http://d.example/example.ext</url>
    <url priority="1">http://a.example/example.ext?a=1&amp;b=2</url>
    <url priority="3">ftp://c.example/example.ext</url>
    <metaurl mediatype="torrent">http://t.example/x.torrent</metaurl>
  </file>
  <file name="../climbing"><url>http://a.example/2</url></file>
  <file name="/absolute"><url>http://a.example/3</url></file>
  <file name="nowhere"><url>ftp://a.example/4</url></file>
  <file name="plain"><url>http://a.example/5</url></file>
</metalink>"""
