"""Manifests of imports."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.import_stack import DIRECTORY, ImportStack, other_process

from downloadd.import_operation import (
    PENDING_FILES,
    Channel,
    FileLink,
    ImportOperation,
    ImportState,
    PendingFile,
    PendingRequest,
    Selection,
    SkippedEntry,
    SkipReason,
)
from downloadd.imports.manifest import ManifestWriter, make_manifest_entry
from downloadd.manager.recovery import sweep
from downloadd.records.import_protocol import ImportFencedError

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


@pytest.fixture
def writer(stack: ImportStack) -> ManifestWriter:
    return ManifestWriter(
        operations=stack.operations, records=stack.records, destination=stack.destination, directory=DIRECTORY
    )


async def started_run(stack: ImportStack) -> ImportOperation:
    """Record an import with three files and a skipped entry, and return a run of it."""
    operation = stack.operations.new("slack", "ann", ImportState.DONE, name="x.zip")
    await stack.operations.create(operation)
    links = [FileLink(file_id=str(number), url="http://h/", channel_id="C1") for number in range(3)]
    stub = SkippedEntry(reason=SkipReason.DELETED, detail="gone", entry="a.json", line=7, file_id="F9", channel_id="C1")
    await stack.records.contents.add(operation.driver, [Channel(channel_id="C1", name="general"), *links, stub])
    await stack.records.contents.select(operation.driver, Selection(users=None, channels=None))
    run = stack.operations.new("pending-files", "ann", ImportState.DOWNLOADING)
    return (await stack.records.files.reserve(run, PendingRequest(kind=PENDING_FILES))).run


async def test_the_manifest_lists_every_file_of_the_import(stack: ImportStack, writer: ManifestWriter) -> None:
    run = await started_run(stack)
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


async def test_a_fenced_driver_leaves_the_manifest_as_it_is(stack: ImportStack, writer: ManifestWriter) -> None:
    run = await started_run(stack)
    await writer.write_all(run)
    [manifest] = stack.root.rglob("manifest.jsonl")
    manifest.write_text("of the next driver")
    claimed = await stack.operations.claim(run, {ImportState.DOWNLOADING})
    assert claimed is not None
    with pytest.raises(ImportFencedError):
        await writer.write_all(run)
    assert [path.read_text() for path in manifest.parent.iterdir()] == ["of the next driver"]
    await writer.write_all(claimed)
    assert "skipped" in manifest.read_text()


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_manifest_that_is_being_written_is_swept_only_after_a_takeover(
    stack: ImportStack, writer: ManifestWriter, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    """The sweep is that of another process, which does not know that the part is open."""
    run = await started_run(stack)
    skipped, parts = stack.records.contents.skipped, []

    async def sweep_while_written(operation: str, after: int, limit: int) -> list[tuple[int, SkippedEntry]]:
        if not after:
            if not is_held:
                assert await stack.operations.claim(run, {ImportState.DOWNLOADING}) is not None
            await sweep(stack.database, other_process(stack))
            parts.append(len(list(stack.root.rglob("*.part"))))
        return await skipped(operation, after, limit)

    monkeypatch.setattr(stack.records.contents, "skipped", sweep_while_written)
    with nullcontext() if is_held else pytest.raises(ImportFencedError):
        await writer.write_all(run)
    assert parts == [int(is_held)]
    assert [path.name for path in stack.root.rglob("*.*l*")] == (["manifest.jsonl"] if is_held else [])
