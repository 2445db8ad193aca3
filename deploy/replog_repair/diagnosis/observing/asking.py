"""Questions with a time limit, whose failures are answers, too: distinguished by their type."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from replog.errors import (
    BrokerRefused,
    ReplogError,
    SettingsError,
    StoreIncompatible,
    StoreRefused,
    StoreUnavailable,
    TopicMissing,
)
from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


async def answered(question: Awaitable[T], *, within_s: float) -> T | Unknown:
    """The answer to ``question``, or why there is none."""
    try:
        async with asyncio.timeout(within_s):
            return await question
    except TimeoutError:
        return Unknown("timeout", f"no answer within {within_s:g} s")
    except ReplogError as error:
        return Unknown(_kind_of(error), str(error))


def _kind_of(error: ReplogError) -> str:
    match error:
        case StoreUnavailable() | BrokerRefused():
            return error.kind
        case StoreRefused():
            return "refused"
        case StoreIncompatible():
            return "incompatible"
        case TopicMissing():
            return "missing"
        case SettingsError():
            return "settings"
    return "unavailable"
