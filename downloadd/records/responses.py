"""Responses kept under an `Idempotency-Key`, in the transaction of their downloads."""

import sqlite3
from typing import Final

import msgspec

from downloadd.records.protocol import StoredResponse
from downloadd.records.rows import corrupt_row_error, execute

LIFETIME_SECONDS: Final = 24 * 60 * 60
"""Seconds that a response is kept."""

_MAX_PURGED_RESPONSES: Final = 16
_FIND: Final = "SELECT fingerprint, status, body, created FROM answers WHERE user = ? AND key = ?"
_STORE: Final = (
    "INSERT OR REPLACE INTO answers (user, key, fingerprint, status, body, created) VALUES (?, ?, ?, ?, ?, ?)"
)
_PURGE: Final = (
    "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers WHERE created < ? ORDER BY created LIMIT ?)"
)


def find_response(cursor: sqlite3.Cursor, response: StoredResponse, *, now: float) -> StoredResponse | None:
    """Return the response that is stored under the key of `response`; None if there is none or it has expired.

    Raises:
        StorageError: its row is damaged.
    """
    row = execute(cursor, _FIND, (response.user, response.key)).fetchone()
    if row is None:
        return None
    fingerprint, status, body, created = row
    if (type(fingerprint), type(status), type(body), type(created)) != (bytes, int, bytes, float):
        raise corrupt_row_error("the response under the Idempotency-Key", response.key, "a value has another type")
    if created < now - LIFETIME_SECONDS:
        return None
    return msgspec.structs.replace(response, fingerprint=fingerprint, status=status, body=body, created=created)


def store_response(cursor: sqlite3.Cursor, response: StoredResponse, *, now: float) -> None:
    """Store a response, and delete some that have expired."""
    # Each new response deletes a few, so that neither a timer nor a long pause is needed.
    cursor.execute(_PURGE, (now - LIFETIME_SECONDS, _MAX_PURGED_RESPONSES))
    execute(
        cursor,
        _STORE,
        (response.user, response.key, response.fingerprint, response.status, response.body, response.created),
    )
