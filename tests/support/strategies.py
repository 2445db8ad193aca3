"""Hypothesis strategies for streams of events as JSON objects, small enough that they collide a lot."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.validity import RULES

Event = dict[str, Any]

#: Few, so that events meet the same entity; a control character and a prefix of another among the details.
RECORD_IDS = ("r1", "r2")
DETAIL_IDS = ("d", "d\x01", "d\x00é")
TASK_KEYS = ("t1", "t2")

times = st.sampled_from(
    [
        "2021-05-12T12:19:08.813Z",
        "2021-05-12T12:19:08.813001Z",
        "2021-05-12T20:19:08.813+08:00",
        "2021-05-12T12:19:09Z",
        "1969-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ]
)
attempts = st.sampled_from([0, 0, 1, 2, 255, 256, 2**63 - 1])
numbers = st.sampled_from([0, 1, 9, 10, 2**32, 2**63 - 1])
#: Texts that tell byte order, code point order and JSON order apart.
texts = st.sampled_from(
    ["", "a", "ab", 'a"', "a\\", "a ", "a\x00b", "a\x01", "é", "\uffff", "😀", "Z", "a~", "a\x7f", "\U0010ffff"]
)
counts = st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(("total", "success", "skip", "failed"), numbers))
progresses = st.fixed_dictionaries(
    {}, optional={"blob": counts, "node": counts, "version": counts, "totalSize": numbers}
)
outcomes = {"status": st.sampled_from(["SUCCESS", "FAILED"])}
reasons = {"errorReason": st.none() | texts}

record_facts = {
    "taskName": texts,
    "replicaType": st.sampled_from(["SCHEDULED", "REAL_TIME"]),
    "expectedDetails": numbers,
}
record_bytes = {"replicatedBytes": numbers, "totalBytes": numbers}
detail_facts = {
    "localCluster": texts,
    "remoteCluster": texts,
    "repoName": texts,
    "repoType": texts,
    "packageName": texts,
    "packageKey": st.sampled_from(["npm://a", "npm://", "a"]),
    "versions": st.lists(texts, max_size=2),
    "version": texts,
    "path": texts,
    "artifactName": texts,
    "size": numbers,
    "conflictStrategy": texts,
}


def _events(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Event]:
    common = {"eventTime": times, "recordId": st.sampled_from(RECORD_IDS)}
    return st.fixed_dictionaries({**common, **required}, optional={"attempt": attempts, **optional})


def _type(name: str) -> dict[str, Any]:
    return {"type": st.just(name)}


_of_record = {"taskKey": st.sampled_from(TASK_KEYS)}
_of_detail = {"detailId": st.sampled_from(DETAIL_IDS)}

record_events = st.one_of(
    _events({**_type("record.started"), **_of_record}, record_facts),
    _events({**_type("record.progressed"), **_of_record}, record_bytes),
    _events({**_type("record.finished"), **_of_record, **outcomes}, {**reasons, **record_bytes}),
)
detail_events = st.one_of(
    _events({**_type("detail.started"), **_of_detail}, detail_facts),
    _events({**_type("detail.progressed"), **_of_detail, "progress": progresses}, detail_facts),
    _events(
        {**_type("detail.finished"), **_of_detail, **outcomes},
        {**reasons, **detail_facts, "progress": st.none() | progresses},
    ),
)
events = record_events | detail_events
#: Also what makes a record forgotten.
erasures = _events(_type("record.erased"), {"taskKey": st.sampled_from(TASK_KEYS)})
events_and_erasures = st.one_of(events, events, events, erasures)

#: A stream of events of a few entities.
streams = st.lists(events, min_size=1, max_size=12)
streams_with_erasures = st.lists(events_and_erasures, min_size=1, max_size=12)


# Damaged events.

#: Names of fields, and one that there is not.
FIELDS = sorted({"type", "unknown", *(name for rules in RULES.values() for part in rules for name in part)})
COUNTS = ("total", "success", "skip", "failed")

scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 2**63 - 1, 2**63, 2**64, 10**400, 0.0, -0.0, 1.0, -0.5, 2.5, 2.0**53, 1e16, 1e300])
    | st.sampled_from(["", "a", "a\n", "\x7f", "\x80", "a\u2028", "é" * 128, "😀" * 129, "x" * 1024, "x" * 1025])
    | st.sampled_from(["SUCCESS", "FAILED", "PACKAGE", "SCHEDULED", "x" * 4096, "x" * 4097, *RULES])
    | st.sampled_from(["2021-05-12T12:19:08.813000Z", "2021-05-12T12:19:60.000001Z", "2021-05-12T12:19:08.81300٣Z"])
    | st.sampled_from(["2021-05-12T12:19:08,813000Z", "2021-02-30T12:19:08.813000Z", "0001-01-01T00:00:00.000000Z"])
    | st.sampled_from(
        ["2021-05-12T12:19:08.123456789Z", "2021-05-12T12:19:08.1234567890Z", "1969-12-31T23:59:59.9999999Z"]
    )
    | st.sampled_from(["2024-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2021-04-31T00:00:00Z", "0000-01-01T00:00:00Z"])
    | st.sampled_from(["2021-05-12T24:00:00Z", "2021-05-12T12:19:08+24:00", "2021-05-12T12:19:08+23:60"])
    | st.sampled_from(["2021-05-12 12:19:08Z", "2021-05-12T12:19:08", "0001-01-01T00:00:00+00:01"])
    | texts
)
objects = st.dictionaries(
    st.sampled_from([*COUNTS, "blob", "node", "version", "totalSize", "total_size", "type"]), scalars
)
#: As long as something may be, and longer by one.
longest = st.sampled_from([["1"] * 1000, ["1"] * 1001, "é" * 8192, "é" * 8193])
values = longest | st.recursive(scalars | objects, lambda inner: st.lists(inner, max_size=3) | objects, max_leaves=4)


@st.composite
def damaged(draw: st.DrawFn) -> Event:
    """An event in which some fields are replaced, added or taken away, and some inside its progress."""
    event: Event = draw(events)
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        event[name] = draw(values)
    for name in draw(st.lists(st.sampled_from(sorted(event)), max_size=1)):
        del event[name]
    progress = event.get("progress")
    if isinstance(progress, dict) and draw(st.booleans()):
        kind = draw(st.sampled_from(["blob", "node", "version", "totalSize"]))
        inside = st.dictionaries(st.sampled_from(COUNTS), scalars, min_size=1)
        event["progress"] = {**progress, kind: draw(inside | scalars)}
    return event
