"""Signature of a webhook by the Standard Webhooks specification (version 1, symmetric).

Pure: no I/O and no clock.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping


def signed_fields(key: bytes, *, event_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the header fields that prove the sender of a body and the time (Unix seconds).

    Id, time and body are signed, so that none can be replaced and a receiver can reject a message that is sent again.
    """
    content = b".".join((event_id.encode(), str(timestamp).encode(), body))
    signature = b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {"webhook-id": event_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}
