"""The signature of a webhook, as the Standard Webhooks specification has it (version 1, symmetric).

Pure: no I/O and no clock.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping


def signed_fields(key: bytes, *, event_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The header fields that prove who sends a body, and when (Unix seconds).

    Signed are id, time and body, so that neither can be exchanged and an old message cannot be sent again later.
    """
    content = b".".join((event_id.encode(), str(timestamp).encode(), body))
    signature = b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {"webhook-id": event_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}
