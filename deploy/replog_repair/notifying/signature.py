"""Signatures of posts to a webhook, as the Standard Webhooks specification defines them. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac

#: What a secret begins with whose rest is base64.
PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key that ``secret`` stands for: the decoded rest behind :data:`PREFIX`, else its bytes in UTF-8.

    Raises:
        ValueError: it has the prefix, and its rest is no base64; or it is empty.
    """
    if not secret.startswith(PREFIX):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except ValueError:
            raise ValueError(f"base64 behind {PREFIX}") from None
    if not key:
        raise ValueError("at least one character")
    return key


def signature(key: bytes, *, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of the header ``webhook-signature``."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
