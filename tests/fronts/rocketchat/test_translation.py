"""Operations and content in the form of Rocket.Chat."""

import json

import msgspec
import pytest
from msgspec.structs import replace
from support.fake_imports import OPERATION_ID, make_operation

from downloadd.fronts.rocketchat.translation import (
    format_stored_name,
    make_channel_entry,
    make_import_progress,
    make_operation_entry,
    make_skipped_item,
    make_user_entry,
)
from downloadd.import_operation import (
    Channel,
    FileCounts,
    ImportState,
    ReadingProgress,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)

START = 1_531_763_348_007
"""2018-07-16 17:49:08.007 UTC."""
OPERATION = replace(
    make_operation(user="ann", started_at=START, state=ImportState.UPLOADED),
    name="a/b.zip",
    content_type="application/zip",
    file_counts=FileCounts(total=3, completed=1, failed=2),
    skipped=4,
)


def encoded(value: msgspec.Struct) -> dict[str, object]:
    return dict(json.loads(msgspec.json.encode(value)))


def test_an_operation_has_the_names_and_words_of_rocket_chat() -> None:
    assert encoded(make_operation_entry(OPERATION)) == {
        "_id": OPERATION_ID,
        "type": "Slack",
        "importerKey": "slack",
        "ts": START,
        "status": "importer_file_loaded",
        "valid": True,
        "user": "ann",
        "_updatedAt": "2018-07-16T17:49:08.007Z",
        "contentType": "application/zip",
        "file": "201861617498_ann_a_b.zip",
        "count": {"completed": 1, "total": 3, "error": 2, "given_up": 0, "skipped": 4},
    }


def test_only_an_import_has_a_file_and_only_a_failure_a_reason() -> None:
    pending = encoded(make_operation_entry(make_operation(kind="pending-files", state=ImportState.DOWNLOADING)))
    assert (pending["type"], pending["status"]) == ("Pending Files", "importer_importing_files")
    assert not {"file", "contentType", "reason"} & pending.keys()
    failed = make_operation_entry(replace(OPERATION, state=ImportState.FAILED, reason="too long"))
    assert (failed.status, failed.reason) == ("importer_import_failed", "too long")


@pytest.mark.parametrize(("name", "stored"), [("", ""), ("x\u202e/y\x00", "x_y"), ("ä", "ä")])
def test_the_stored_name_has_no_slash_and_no_invisible_character(name: str, stored: str) -> None:
    assert format_stored_name(replace(OPERATION, name=name)) == f"201861617498_ann_{stored}"


def test_the_progress_has_the_key_the_title_and_the_counts() -> None:
    assert encoded(make_import_progress(OPERATION)) == {
        "key": "slack",
        "name": "Slack",
        "step": "importer_file_loaded",
        "count": {"completed": 1, "total": 3, "error": 2, "given_up": 0, "skipped": 4},
        "success": True,
    }


def test_users_and_channels_have_the_form_of_a_selection() -> None:
    user = WorkspaceUser(user_id="U1", username="ann", email="a@example.org", is_bot=True)
    channel = Channel(channel_id="C1", name="general", is_private=True)
    assert encoded(make_user_entry(user, True)) == {
        "user_id": "U1",
        "username": "ann",
        "email": "a@example.org",
        "is_deleted": False,
        "is_bot": True,
        "do_import": True,
        "is_email_taken": False,
    }
    assert encoded(make_channel_entry(channel, False)) == {
        "channel_id": "C1",
        "name": "general",
        "is_archived": False,
        "do_import": False,
        "is_private": True,
        "is_direct": False,
    }


def test_the_progress_of_reading_is_shown_while_a_file_is_read() -> None:
    reading = replace(OPERATION, reading=ReadingProgress(bytes_read=1, bytes_total=2, messages=3))
    shown = {"bytes_read": 1, "bytes_total": 2, "messages": 3}
    assert encoded(make_operation_entry(reading))["reading"] == shown
    assert encoded(make_import_progress(reading))["reading"] == shown


def test_a_skipped_entry_has_its_place_and_the_meaning_of_its_reason() -> None:
    entry = SkippedEntry(
        reason=SkipReason.DELETED, detail="gone", entry="a.json", line=3, file_id="F1", channel="general"
    )
    item = encoded(make_skipped_item(entry))
    assert (item["reason"], item["entry"], item["line"], item["channel"]) == ("deleted", "a.json", 3, "general")
    assert "deleted" in str(item["meaning"])
    assert (item["message"], item["channel_id"]) == (None, None)
