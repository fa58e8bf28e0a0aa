"""Manifests of imports."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.import_stack import DIRECTORY, ImportStack

from downloadd.import_operation import (
    PENDING_FILES,
    Channel,
    FileLink,
    ImportState,
    PendingFile,
    PendingRequest,
    Selection,
    SkippedEntry,
    SkipReason,
)
from downloadd.imports.manifest import ManifestWriter, make_manifest_entry

LINK = FileLink(file_id="F1", url="http://ann:s3cret@h.example/a", user="U1", time=1.5, channel_id="C1")


def pending(**fields: object) -> PendingFile:
    return PendingFile(number=1, link=LINK, channel="general", import_started_at=0, import_name="x", **fields)  # type: ignore[arg-type]


def test_an_entry_has_no_secret() -> None:
    entry = make_manifest_entry(pending())
    assert (entry.file_id, entry.channel, entry.user, entry.message_time) == ("F1", "general", "U1", 1.5)
    assert (entry.status, entry.path, entry.size, entry.error) == ("pending", None, None, None)
    assert "s3cret" not in entry.url


@pytest.mark.parametrize(("checksum", "sha256"), [("sha-256=ab", "ab"), ("md5=ab", None), (None, None)])
def test_only_a_sha_256_checksum_is_listed(checksum: str | None, sha256: str | None) -> None:
    assert make_manifest_entry(pending(saved_checksum=checksum)).sha256 == sha256


async def test_the_manifest_lists_every_file_of_the_import(stack: ImportStack) -> None:
    operation = stack.operations.new("slack", "ann", ImportState.DONE, name="x.zip")
    await stack.operations.create(operation)
    links = [FileLink(file_id=str(number), url="http://h/", channel_id="C1") for number in range(3)]
    stub = SkippedEntry(reason=SkipReason.DELETED, detail="gone", entry="a.json", line=7, file_id="F9", channel_id="C1")
    await stack.records.contents.add(operation.driver, [Channel(channel_id="C1", name="general"), *links, stub])
    await stack.records.contents.select(operation.driver, Selection(users=None, channels=None))
    run = stack.operations.new("pending-files", "ann", ImportState.DOWNLOADING)
    await stack.operations.create(run)
    await stack.records.files.reserve(run.id, "ann", PendingRequest(kind=PENDING_FILES))
    writer = ManifestWriter(
        operations=stack.operations, records=stack.records, destination=stack.destination, directory=DIRECTORY
    )
    for _ in range(2):
        await writer.write_all(run)
    [manifest] = stack.root.rglob("manifest.jsonl")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [(line["file_id"], line["channel"], line["status"]) for line in lines] == [
        *((str(number), "general", "reserved") for number in range(3)),
        ("F9", "general", "skipped"),
    ]
    assert {key: lines[-1][key] for key in ("error", "detail", "entry", "line")} == {
        "error": "deleted", "detail": "gone", "entry": "a.json", "line": 7,
    }  # fmt: skip
    assert "detail" not in lines[0]
    assert [path.name for path in manifest.parent.iterdir()] == ["manifest.jsonl"]
    await assert_failure_is_logged(writer, stack, manifest)


async def assert_failure_is_logged(writer: ManifestWriter, stack: ImportStack, manifest: Path) -> None:
    manifest.unlink()
    manifest.parent.rmdir()
    manifest.parent.write_text("a file in place of the directory")
    run = await stack.records.operations.current("ann")
    assert run is not None
    with capture_logs() as lines:
        await writer.write_all(run)
    assert [line["event"] for line in lines] == ["manifest_write_failed"]
