"""The simplest collector a user would write: each event is one HSET and one ZADD, a pipeline a batch.

It knows no order of events, no attempts, no filters, no dead letters: the floor that ours is measured against.
Prints a line ``SECONDS EVENTS`` after each batch.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from aiokafka import AIOKafkaConsumer
from redis.asyncio import Redis


async def main(servers: str, topic: str, redis_url: str, prefix: str, total: int) -> None:
    """Consume ``total`` events."""
    redis: Redis = Redis.from_url(redis_url)
    consumer: Any = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id="plain", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    applied = 0
    while applied < total:
        fetched = await consumer.getmany(timeout_ms=500, max_records=5000)
        pipeline = redis.pipeline(transaction=False)
        for messages in fetched.values():
            for message in messages:
                event = json.loads(message.value)
                entity = event.get("detailId", event["recordId"])
                pipeline.hset(f"{prefix}:{entity}", mapping={event["type"]: message.value})
                pipeline.zadd(f"{prefix}:time:{event['recordId']}", {entity: message.timestamp})
                applied += 1
        await pipeline.execute()
        await consumer.commit()
        print(time.monotonic(), applied, flush=True)  # noqa: T201 - read by the benchmark
    await consumer.stop()
    await redis.aclose()


if __name__ == "__main__":
    servers, topic, redis_url, prefix, total = sys.argv[1:]
    asyncio.run(main(servers, topic, redis_url, prefix, int(total)))
