"""Tokens for a query service: one that reads everything, one with a prefix, and one that nobody gave out."""

from __future__ import annotations

from hashlib import sha256

ALL, MINE, STRANGE = "token-of-all", "token-of-mine", "token-of-nobody"
TOKENS = ",".join(
    f"{name}:{sha256(secret.encode()).hexdigest()}{prefix}"
    for name, secret, prefix in (("ops", ALL, ""), ("team", MINE, ":mine/"))
)


def bearer(secret: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {secret}"}
