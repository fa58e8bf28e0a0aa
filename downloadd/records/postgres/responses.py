"""Responses kept under an `Idempotency-Key`, in the transaction of their downloads."""

from typing import Final

import asyncpg
import msgspec

from downloadd.errors import IdempotencyKeyReusedError
from downloadd.records.protocol import StoredResponse
from downloadd.records.responses import LIFETIME_SECONDS
from downloadd.records.writer import Rejection

# The row of another node's transaction under the same key is waited for.
_STORE: Final = """
INSERT INTO answers ("user", key, fingerprint, status, body, created) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT ("user", key) DO UPDATE SET
    fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, created = excluded.created
WHERE answers.created < $7
RETURNING 1
"""
_FIND: Final = 'SELECT fingerprint, status, body, created FROM answers WHERE "user" = $1 AND key = $2'
_PURGE: Final = """
DELETE FROM answers WHERE ("user", key) IN (
    SELECT "user", key FROM answers WHERE created < $1 ORDER BY created LIMIT 16 FOR UPDATE SKIP LOCKED
)
"""


async def store_response(
    connection: asyncpg.Connection, response: StoredResponse, *, now: float
) -> StoredResponse | Rejection | None:
    """Store a response, and delete some that have expired; return None.

    If another one is stored under its key that has not expired, nothing is stored: it is returned, or the refusal of
    a request with another fingerprint.
    """
    expired = now - LIFETIME_SECONDS
    # Each new response deletes a few, so that neither a timer nor a long pause is needed.
    await connection.execute(_PURGE, expired)
    values = (
        response.user, response.key, response.fingerprint, response.status, response.body, response.created, expired
    )  # fmt: skip
    if await connection.fetchval(_STORE, *values) is not None:
        return None
    fingerprint, status, body, created = await connection.fetchrow(_FIND, response.user, response.key)
    if fingerprint != response.fingerprint:
        return Rejection(IdempotencyKeyReusedError())
    return msgspec.structs.replace(response, status=status, body=body, created=created)
