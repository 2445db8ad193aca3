"""The plain design: of each record a sorted set of ids and JSON in a hash; a filter reads all and compares."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
from redis import Redis

from tests.benchmarks.asking import Answer
from tests.benchmarks.store_data import BATCH, chunks
from tests.benchmarks.store_questions import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog.store.read.filters import DetailFilter
    from tests.benchmarks.store_data import RecordRow, Row

#: Ids in one HMGET.
_STEP = 1000


class PlainStore:
    """One Redis, used as most would; its keys begin with ``prefix``."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self._redis: Any = Redis.from_url(url)
        self._prefix = prefix
        self.pid = int(self._redis.info("server")["process_id"])
        self._records: set[str] = set()

    def has(self, record_id: str) -> bool:
        """Whether details of the record were written."""
        return record_id in self._records

    def add(self, record_id: str, rows: Iterable[Row]) -> float:
        """Write ``rows``; returns the seconds that Redis and its client took."""
        self._records.add(record_id)
        seconds = 0.0
        for chunk in chunks(rows, BATCH):
            values = {row.detail_id: orjson.dumps(content_of(row)) for row in chunk}
            scores = {row.detail_id: row.start_ms for row in chunk}
            begun = time.perf_counter()
            pipeline = self._redis.pipeline(transaction=False)
            for some in chunks(values, 100):
                pipeline.hset(
                    f"{self._prefix}details:{record_id}", mapping={detail_id: values[detail_id] for detail_id in some}
                )
                pipeline.zadd(f"{self._prefix}time:{record_id}", {detail_id: scores[detail_id] for detail_id in some})
            pipeline.execute()
            seconds += time.perf_counter() - begun
        return seconds

    async def page(self, record_id: str, flt: DetailFilter, offset: int) -> Answer:
        """As :class:`tests.benchmarks.asking.Store` says."""
        if not any(flt):
            return self._unfiltered(record_id, offset)
        ids = self._redis.zrevrange(f"{self._prefix}time:{record_id}", 0, -1)
        matching: list[str] = []
        for some in chunks(ids, _STEP):
            for value in self._redis.hmget(f"{self._prefix}details:{record_id}", some):
                detail = orjson.loads(value)
                if _matches(flt, detail):
                    matching.append(detail["id"])
        return Answer(len(matching), matching[offset : offset + LIMIT])

    def _unfiltered(self, record_id: str, offset: int) -> Answer:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zcard(f"{self._prefix}time:{record_id}")
        pipeline.zrevrange(f"{self._prefix}time:{record_id}", offset, offset + LIMIT - 1)
        total, ids = pipeline.execute()
        self._redis.hmget(f"{self._prefix}details:{record_id}", ids)
        return Answer(total, [raw.decode() for raw in ids])

    def add_records(self, rows: Iterable[RecordRow]) -> None:
        """Write the records of the task."""
        for chunk in chunks(rows, BATCH):
            self._redis.hset(
                f"{self._prefix}records", mapping={row.record_id: orjson.dumps(row._asdict()) for row in chunk}
            )
            self._redis.zadd(f"{self._prefix}tasktime", {row.record_id: row.start_ms for row in chunk})

    def record_page(self, status: str, offset: int) -> int:
        """Read a page of the task's records; returns the total."""
        if not status:
            ids = self._redis.zrevrange(f"{self._prefix}tasktime", offset, offset + LIMIT - 1)
            self._redis.hmget(f"{self._prefix}records", ids)
            return int(self._redis.zcard(f"{self._prefix}tasktime"))
        matching: list[Any] = []
        for some in chunks(self._redis.zrevrange(f"{self._prefix}tasktime", 0, -1), _STEP):
            rows = map(orjson.loads, self._redis.hmget(f"{self._prefix}records", some))
            matching += [row for row in rows if row["status"] == status]
        return len(matching)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def content_of(row: Row) -> dict[str, Any]:
    """What the API shows of a detail, about as long as ours."""
    return {
        "id": row.detail_id,
        "localCluster": "center",
        "remoteCluster": row.cluster,
        "repoName": row.repo,
        "repoType": "NPM",
        "packageName": row.package,
        "versions": ["1.0.0"],
        "status": row.status,
        "startTime": row.start_ms,
        "endTime": row.start_ms,
        "progress": {"blob": [3, 3, 0, 0], "version": [1, 1, 0, 0], "totalSize": 123_456_789},
    }


def _matches(flt: DetailFilter, detail: dict[str, str]) -> bool:
    return (
        (not flt.status or detail["status"] == flt.status)
        and detail["remoteCluster"].startswith(flt.cluster_name)
        and detail["repoName"].startswith(flt.repo_name)
        and detail["packageName"].startswith(flt.package_name)
    )
