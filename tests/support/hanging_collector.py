"""A collector whose Kafka client hangs from when the file `REPLOG_TEST_HANG` is there: no messages come, and no error.

Everything else is the program that is deployed. Clients were seen to hang like this (aio-libs/aiokafka #1154).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from replog_collector.main import main

_FILE = Path(os.environ["REPLOG_TEST_HANG"])
_getmany = AIOKafkaConsumer.getmany


async def _hanging(self: AIOKafkaConsumer, *partitions: Any, timeout_ms: int = 0, **options: Any) -> Any:
    if not _FILE.exists():  # noqa: ASYNC240 - one look at a file of this machine
        return await _getmany(self, *partitions, timeout_ms=timeout_ms, **options)
    await asyncio.sleep(timeout_ms / 1000)
    return {}


if __name__ == "__main__":
    AIOKafkaConsumer.getmany = _hanging  # type: ignore[method-assign]
    main()
