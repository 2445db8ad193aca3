from __future__ import annotations

from datetime import UTC, datetime

import pytest

from replog.store.as_of import as_of
from replog.store.keys import BUCKETS
from replog_api.freshness import header_of

Fields = dict[bytes, bytes]


def told(*times_ms: int, group: bytes = b"g", topic: bytes = b"t", partitions: int | None = None) -> Fields:
    """What a bucket tells of a topic's first partitions."""
    fields = {b"%b:%b:%d" % (group, topic, number): b"%d" % ms for number, ms in enumerate(times_ms)}
    return fields | {b"%b:%b:partitions" % (group, topic): b"%d" % (partitions or len(times_ms))}


def everywhere(fields: Fields) -> list[Fields]:
    return [fields] * BUCKETS


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        (everywhere({}), 0),
        (everywhere(told(5, 3, 4)), 3),
        ([told(9, 9), *everywhere(told(10, 10))[1:]], 9),
        ([{}, *everywhere(told(10, 10))[1:]], 0),
        (everywhere(told(5, partitions=2)), 0),
        (everywhere(told(5, 6, 1, partitions=2)), 5),
        (everywhere(told(5) | told(8, group=b"h")), 8),
        (everywhere(told(5) | told(8, topic=b"u", partitions=2)), 5),
        (everywhere(told(5, group=b"a:b:partitions", topic=b"partitions")), 5),
    ],
    ids=[
        "nobody ever wrote",
        "the least of all partitions",
        "the least of all buckets",
        "a bucket that lost what it said",
        "a partition that nobody reached",
        "partitions that are gone",
        "another group's, from before",
        "another topic's, not reached",
        "awkward names",
    ],
)
def test_the_store_has_what_all_its_parts_have(buckets: list[Fields], expected: int) -> None:
    assert as_of(buckets) == expected


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00.000Z", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.000Z"])
def test_the_header_is_a_time_in_utc_with_milliseconds(text: str) -> None:
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert header_of(round(moment.timestamp() * 1000)) == text.encode()
