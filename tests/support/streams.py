"""Seeded streams of valid events with awkward names, as plain JSON objects for the project and the oracle alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

Event = dict[str, Any]

EPOCH = datetime(2021, 5, 12, 12, 0, tzinfo=UTC)

#: Ids and keys that a URL, a key of Redis or a pattern could take for something else.
AWKWARD_IDS = (
    "plain",
    "plain2",
    "with space",
    "with/slash",
    "with%2Fescape",
    "100%",
    "a+b=c&d?e#f",
    "quote\"'`",
    "{tag}*[a-z].(x)",
    "日志-ünïcode",
    "😀-four-bytes",
    "x" * 128,
    "list",
    "..a",
    ".",
    "..",
)

#: Names that are prefixes of each other, in ways that bytes, escapes, patterns or collations get wrong.
AWKWARD_NAMES = (
    "",
    "a",
    "A",
    "ab",
    "a.b",
    "a.",
    "a*",
    "a(b[c",
    "a\x00",
    "a\x00b",
    "a\x01",
    "a\x01\x02",
    "a/b c%20\"'",
    "aé",
    "ae\u0301",
    "a中",
    "a中文",
    "a\uffff",
    "a😀",
    "a~",
    "a\x7f\u0080",
    "a\U0010ffff",
)
AWKWARD_KEYS = ("npm://a", "npm://ab", "npm://", "a", "a://b://c", "docker://中文/x")
CLUSTERS = ("dev", "dev-2", "Dev", "", "测试", "prod\x00x")
REPOS = ("npm", "npm-local", "npm\x00", "npm~", "npm\U0010ffff", "", "generic*")
OFFSETS = (UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=3, minutes=30)))
VERSIONS = ("1.0", "1.0.0", "")


def moment(random: Random, *, within_ms: int = 5000) -> datetime:
    """A time that others are likely to have too, sometimes apart by less than a millisecond."""
    return EPOCH + timedelta(milliseconds=random.randrange(within_ms), microseconds=random.choice((0, 0, 1, 999)))


def text_of(random: Random, time: datetime) -> str:
    """``time`` as workers may write it: with any offset, and no more digits than there are."""
    return time.astimezone(random.choice(OFFSETS)).isoformat()


def record_events(random: Random, record_id: str, task_keys: Sequence[str]) -> list[Event]:
    """The events of one record, in no order; ``task_keys`` are used in turn."""
    events: list[Event] = [
        {
            "type": "record.started",
            "taskName": random.choice(AWKWARD_NAMES),
            "replicaType": random.choice(("SCHEDULED", "REAL_TIME", None)),
            "replicaObjectType": random.choice(("REPOSITORY", "PATH", None)),
            "expectedDetails": random.choice((0, 7, 2**63 - 1, None)),
        },
        {"type": "record.progressed", "replicatedBytes": random.randrange(2**63), "totalBytes": 2**63 - 1},
        {"type": "record.progressed"},
        {"type": "record.finished", "status": "FAILED", "errorReason": random.choice((None, "", 'Grund: "§"\n'))},
        {"type": "record.finished", "status": "SUCCESS", "errorReason": "to be ignored", "totalBytes": 5},
    ]
    chosen = random.sample(events, random.randint(1, 3))
    return [
        {
            **event,
            "recordId": record_id,
            "taskKey": task_keys[number % len(task_keys)],
            "eventTime": text_of(random, moment(random)),
            "attempt": random.choice((0, 0, 0, 1)),
        }
        for number, event in enumerate(chosen)
    ]


def detail_events(
    random: Random, record_id: str, detail_id: str, facts: Event, *, start: datetime | None = None
) -> list[Event]:
    """The events of one detail, in no order; it starts at ``start`` where that is given."""
    begun = start or moment(random)
    events: list[Event] = []
    if start or random.random() < 0.9:
        events.append({"type": "detail.started", "eventTime": text_of(random, begun)})
    progressed = range(random.randrange(3))
    events += [{"type": "detail.progressed", "progress": progress(random)} for _ in progressed]
    if not events or random.random() < 0.7:
        events.append({"type": "detail.finished", **outcome(random)})
    teller = random.choice(events)
    teller.update(facts)
    for event in events:
        event.setdefault("eventTime", text_of(random, begun + timedelta(milliseconds=random.randrange(1, 900))))
        event.update(recordId=record_id, detailId=detail_id)
        if event["type"] != "detail.started":
            event["attempt"] = random.choice((0, 0, 0, 1, 300))
    return events


def progress(random: Random) -> Event:
    """A progress with some of its parts."""
    return {kind: count(random) for kind in ("blob", "node", "version")} | {
        "totalSize": random.choice((0, 4096, 2**53 + 1, 2**63 - 1))
    }


def count(random: Random) -> Event | None:
    """A count with some of its fields, or none."""
    if random.random() < 0.4:
        return None
    fields = random.sample(("total", "success", "skip", "failed"), random.randrange(5))
    return {field: random.choice((0, 1, 10, 2**32, 2**63 - 1)) for field in fields}


def outcome(random: Random) -> Event:
    """The end of a detail."""
    final: Event = {"status": random.choice(("SUCCESS", "FAILED"))}
    if random.random() < 0.5:
        final["errorReason"] = random.choice((None, "broken", "坏了\u2028\x00"))
    if random.random() < 0.5:
        final["progress"] = progress(random)
    return final


def place(random: Random) -> Event:
    """Where a detail goes; now and then not all of it is known."""
    known = {"localCluster": "center", "remoteCluster": random.choice(CLUSTERS), "repoName": random.choice(REPOS)}
    return {name: text for name, text in known.items() if random.random() < 0.95}


def facts(random: Random) -> Event:
    """All facts of a detail: of a package, a path, an artifact, several of these, or none at all."""
    if random.random() < 0.05:
        return {}
    naming: list[Event] = [
        {"packageName": random.choice(AWKWARD_NAMES)},
        {"packageKey": random.choice(AWKWARD_KEYS), "versions": ["1", "2"]},
        {"packageKey": random.choice(AWKWARD_KEYS), "packageName": random.choice(AWKWARD_NAMES)},
        {"path": random.choice(AWKWARD_NAMES)},
        {"artifactName": random.choice(AWKWARD_NAMES)},
        {"path": random.choice(AWKWARD_NAMES), "artifactName": random.choice(AWKWARD_NAMES)},
        *3 * [full_name(random)],
        {},
    ]
    others = {
        "repoType": random.choice(("NPM", "", None)),
        "size": random.choice((0, 2**63 - 1, None)),
        "sha256": random.choice(("ab" * 32, None)),
        "conflictStrategy": random.choice(("SKIP", "", None, None)),
    }
    return place(random) | random.choice(naming) | others


def full_name(random: Random) -> Event:
    """Package, path, artifact and version together."""
    fields = ("packageName", "path", "artifactName")
    return {field: random.choice(AWKWARD_NAMES) for field in fields} | {"version": random.choice(VERSIONS)}


def awkward_details(random: Random, record_id: str, count_of: int, *, at_once: int = 0) -> list[Event]:
    """``count_of`` details of one record; the first ``at_once`` of them start in the same microsecond."""
    events: list[Event] = []
    for number in range(count_of):
        detail_id = random.choice(AWKWARD_NAMES)[:8] + random.choice(("", "/", "%", "\x00")) + str(number)
        start = EPOCH if number < at_once else None
        events += detail_events(random, record_id, detail_id, facts(random), start=start)
    return events


def awkward_stream(random: Random) -> list[Event]:
    """Records and details under awkward ids, some records under two tasks, some details without their record."""
    events: list[Event] = []
    for record_id in AWKWARD_IDS:
        tasks = random.sample(AWKWARD_IDS[:6], random.choice((1, 1, 2)))
        if record_id != "plain2":
            events += record_events(random, record_id, tasks)
        events += awkward_details(random, record_id, random.randrange(8))
    events += awkward_details(random, "plain2", 3)
    for number in range(30):
        events += record_events(random, f"run-{number}", ["plain"])
    return shuffled(random, events)


def shuffled(random: Random, events: list[Event], *, duplicates: float = 0.1) -> list[Event]:
    """``events`` in any order, some of them twice."""
    again = random.sample(events, int(len(events) * duplicates))
    return random.sample(events + again, len(events) + len(again))
