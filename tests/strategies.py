"""Hypothesis strategies for streams of events as JSON objects, small enough that they collide a lot."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

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

#: A stream of events of a few entities.
streams = st.lists(events, min_size=1, max_size=12)
