"""Errors of the Kafka client, as the port raises them."""

from __future__ import annotations

from replog.errors import BrokerUnavailable, RecoverableError


def recoverable(error: BaseException, servers: str, what: str = "") -> RecoverableError:
    """BrokerUnavailable that names ``servers``, ``what`` and ``error``; ``error`` itself where it is recoverable."""
    if isinstance(error, RecoverableError):
        return error
    text = str(error) or type(error).__name__
    return BrokerUnavailable(f"{servers}: {what and f'{what}: '}{text}")
