from __future__ import annotations

from datetime import UTC, datetime

import msgpack
import pytest

from replog.store.format.keys import BUCKETS
from replog.store.read.as_of import as_of
from replog_api.http.as_of import header_of

Fields = dict[bytes, bytes]


def told(*times_ms: int, topic: bytes = b"g:t") -> Fields:
    """What a bucket tells of a topic's partitions."""
    return {topic: msgpack.packb([9, list(times_ms)])}


def everywhere(fields: Fields) -> list[Fields]:
    return [fields] * BUCKETS


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        (everywhere({}), 0),
        (everywhere(told(5, 3, 4)), 3),
        ([told(9, 9), *everywhere(told(10, 10))[1:]], 9),
        ([{}, *everywhere(told(10, 10))[1:]], 0),
        (everywhere(told(5, 0)), 0),
        (everywhere(told(5) | told(8, topic=b"h:t")), 8),
        (everywhere(told(5) | told(8, 0, topic=b"g:u")), 5),
    ],
    ids=[
        "nobody ever wrote",
        "the least of all partitions",
        "the least of all buckets",
        "a bucket that lost what it said",
        "a partition that nobody reached",
        "another group's, from before",
        "another topic's, not reached",
    ],
)
def test_the_store_has_what_all_its_parts_have(buckets: list[Fields], expected: int) -> None:
    assert as_of(buckets) == expected


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00.000Z", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.000Z"])
def test_the_header_is_a_time_in_utc_with_milliseconds(text: str) -> None:
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert header_of(round(moment.timestamp() * 1000)) == text.encode()
