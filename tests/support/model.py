"""The oracle: what the API must answer after a set of events, straight from docs/events.md and docs/api.md.

Written for clarity and on its own: works on plain JSON objects, imports nothing of the project, sorts and filters
by brute force.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]

#: Characters of an error's reason; a longer one is cut.
MOST_REASON = 8192
#: Under so many task keys a record is listed at most: the smallest by code point.
MOST_TASK_KEYS = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ERASED = "record.erased"
_NEVER_US = -(2**63)
_COUNTED = ("total", "success", "skip", "failed")
RECORD_FACTS = ("taskKey", "taskName", "replicaType", "replicaObjectType", "expectedDetails")
DETAIL_FACTS = (
    "localCluster",
    "remoteCluster",
    "repoName",
    "repoType",
    "packageName",
    "packageKey",
    "versions",
    "version",
    "path",
    "artifactName",
    "size",
    "sha256",
    "conflictStrategy",
)


#: Of an export as CSV.
COLUMNS = [
    *("id", "recordId", "localCluster", "remoteCluster", "localRepoName", "repoType"),
    *("packageConstraint.packageKey", "packageConstraint.versions", "pathConstraint.path"),
    *("artifactName", "version", "conflictStrategy", "size", "sha256", "status"),
    *(f"progress.{kind}.{name}" for kind in ("blob", "node", "version") for name in _COUNTED),
    *("progress.totalSize", "progress.success", "progress.skip", "progress.failed"),
    *("startTime", "endTime", "errorReason", "lastEventTime", "stale"),
]


def _cell(row: dict[str, Any], column: str) -> str:
    value: Any = row
    for name in column.split("."):
        value = value and value[name]
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return "'" + value if value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def masked(reason: str) -> str:
    """A reason of which numbers and hashes are ``<n>``: word for word, of ASCII letters and digits."""
    hexes = "0123456789abcdefABCDEF"
    words = re.split("([0-9A-Za-z]+)", reason)
    # Words are at odd places; five of them with hyphens between are a UUID.
    for i in range(1, len(words) - 8, 2):
        five = words[i : i + 9 : 2]
        is_joined = words[i + 1 : i + 8 : 2] == ["-"] * 4
        if is_joined and [*map(len, five)] == [8, 4, 4, 4, 12] and {*"".join(five)} <= {*hexes}:
            words[i : i + 9] = ["<n>", *[""] * 8]
    for i in range(1, len(words), 2):
        word = words[i]
        hash_of = word[2:] if word[:2] in {"0x", "0X"} else word
        is_prefixed = hash_of != word and hash_of
        has_digit = {*word} & {*"0123456789"}
        if word != "<n>" and {*hash_of} <= {*hexes} and (is_prefixed or (has_digit and len(word) >= 6)):
            words[i] = "<n>"
        else:
            words[i] = re.sub("[0-9]+", "<n>", word)
    return "".join(words)


def _us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _local(us: int | None) -> str | None:
    if us is None:
        return None
    return (EPOCH + timedelta(milliseconds=us // 1000)).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _kept(events: list[Event], names: tuple[str, ...]) -> list[tuple[Event, dict[str, Any]]]:
    carried = ((event, {name: event[name] for name in names if event.get(name) is not None}) for event in events)
    return [(event, content) for event, content in carried if content]


@dataclass
class Entity:
    """The events of one record or detail."""

    events: list[Event] = field(default_factory=list)

    def started(self, event: Event) -> bool:
        return str(event["type"]).endswith(".started")

    def finished(self, event: Event) -> bool:
        return str(event["type"]).endswith(".finished")

    def attempt(self, event: Event) -> int:
        return int(event.get("attempt", 0))

    def facts(self, names: tuple[str, ...]) -> dict[str, Any]:
        candidates = [
            (
                (self.started(event), self.attempt(event), _us(event["eventTime"])),
                _canonical(content),
                content,
            )
            for event, content in _kept(self.events, names)
        ]
        return max(candidates, key=lambda candidate: candidate[:2])[2] if candidates else {}

    def start_us(self) -> int:
        starts = [event for event in self.events if self.started(event)]
        if starts:
            highest = max(self.attempt(event) for event in starts)
            return min(_us(event["eventTime"]) for event in starts if self.attempt(event) == highest)
        return min(_us(event["eventTime"]) for event in self.events)

    def outcome(self) -> dict[str, Any]:
        return self.outcome_with_key()[2]

    def outcome_with_key(self) -> tuple[tuple[int, bool, int], str, dict[str, Any]]:
        """The outcome, behind its order key and itself as canonical JSON."""
        candidates = []
        for event in self.events:
            final = self.finished(event)
            content: dict[str, Any] = {"status": "RUNNING", "endTime": None, "errorReason": None}
            if final:
                reason = event.get("errorReason") if event["status"] == "FAILED" else None
                if reason is not None and len(reason) > MOST_REASON:
                    reason = reason[: MOST_REASON - 1] + "…"
                content = {
                    "status": event["status"],
                    "endTime": _us(event["eventTime"]),
                    "errorReason": reason,
                }
            key = (self.attempt(event), final, _us(event["eventTime"]))
            candidates.append((key, _canonical(content), content))
        return max(candidates, key=lambda candidate: candidate[:2])

    def active_us(self) -> int:
        """When it ended or, while it is RUNNING, the newest event of its highest attempt."""
        return max((self.attempt(event), self.finished(event), _us(event["eventTime"])) for event in self.events)[2]

    def latest(self, content_of: Any) -> Any:
        candidates = [
            (
                (self.attempt(event), self.finished(event), _us(event["eventTime"])),
                _canonical(content),
                content,
            )
            for event in self.events
            if (content := content_of(event)) is not None
        ]
        return max(candidates, key=lambda candidate: candidate[:2])[2] if candidates else None

    def last_us(self) -> int:
        return max(_us(event["eventTime"]) for event in self.events)


def _progress(event: Event) -> dict[str, Any] | None:
    given = event.get("progress")
    if given is None or event["type"] == "detail.started":
        return None
    progress: dict[str, Any] = {"totalSize": given.get("totalSize", 0)}
    for kind in ("blob", "node", "version"):
        count = given.get(kind)
        progress[kind] = count and {name: count.get(name, 0) for name in ("total", "success", "skip", "failed")}
        if count == {}:
            progress[kind] = {"total": 0, "success": 0, "skip": 0, "failed": 0}
    return progress


def _record_bytes(event: Event) -> dict[str, Any] | None:
    if event["type"] == "record.started":
        return None
    content = {name: event.get(name) for name in ("replicatedBytes", "totalBytes")}
    return content if any(value is not None for value in content.values()) else None


def transition(before: list[Event], after: list[Event]) -> dict[str, Any] | None:
    """How a record ended or was reopened between its own events ``before`` and all those ``after``; None if neither."""
    if not after:
        return None
    outcome, was = Entity(after).outcome_with_key(), Entity(before).outcome_with_key() if before else None
    ends = [known for known in (was, outcome) if known and known[2]["status"] != "RUNNING"]
    if not ends or (was and was[:2] == outcome[:2]):
        return None
    return {
        "taskKey": Entity(after).facts(RECORD_FACTS)["taskKey"],
        "before": was and was[2]["status"],
        "status": outcome[2]["status"],
        "endMs": None if outcome[2]["endTime"] is None else outcome[2]["endTime"] // 1000,
        "errorReason": outcome[2]["errorReason"],
    }


def _erasures(events: list[Event]) -> dict[str, int]:
    """By record, up to which time it is erased, in us."""
    erased: dict[str, int] = {}
    for event in events:
        if event["type"] == ERASED:
            erased[event["recordId"]] = max(erased.get(event["recordId"], _NEVER_US), _us(event["eventTime"]))
    return erased


class Model:
    """All that was published. ``now_us`` decides what is stale."""

    def __init__(self, events: list[Event], *, now: datetime | None = None, stale_after_s: int = 900) -> None:
        self.now_us = None if now is None else (now - EPOCH) // timedelta(microseconds=1)
        self.stale_after_us = stale_after_s * 1_000_000
        self._records: dict[str, Entity] = {}
        self._details: dict[str, dict[str, Entity]] = {}
        self._named: dict[str, set[str]] = {}
        erased = _erasures(events)
        for event in events:
            if event["type"] != ERASED and _us(event["eventTime"]) > erased.get(event["recordId"], _NEVER_US):
                self._add(event)
        self._tasks: dict[str, set[str]] = {}
        for record_id, keys in self._named.items():
            for key in sorted(keys)[:MOST_TASK_KEYS]:
                self._tasks.setdefault(key, set()).add(record_id)

    def _add(self, event: Event) -> None:
        record_id = event["recordId"]
        if event["type"].startswith("record."):
            self._records.setdefault(record_id, Entity()).events.append(event)
            self._named.setdefault(record_id, set()).add(event["taskKey"])
        else:
            details = self._details.setdefault(record_id, {})
            details.setdefault(event["detailId"], Entity()).events.append(event)

    @property
    def task_keys(self) -> list[str]:
        """All task keys that records are listed under."""
        return sorted(self._tasks)

    @property
    def record_ids(self) -> list[str]:
        """All record ids published, of records or of their details alone."""
        return sorted(self._records.keys() | self._details.keys())

    def _stale(self, status: str, last_us: int) -> bool | None:
        if self.now_us is None:
            return None
        return status == "RUNNING" and self.now_us - last_us > self.stale_after_us

    def record(self, record_id: str) -> dict[str, Any]:
        """A Record; ``stale`` is None where the model knows no present."""
        entity = self._records[record_id]
        outcome = entity.outcome()
        moved = entity.latest(_record_bytes) or {}
        return {
            "id": record_id,
            "taskKey": entity.facts(RECORD_FACTS)["taskKey"],
            "status": outcome["status"],
            "startTime": _local(entity.start_us()),
            "endTime": _local(outcome["endTime"]),
            "errorReason": outcome["errorReason"],
            "replicatedBytes": moved.get("replicatedBytes"),
            "totalBytes": moved.get("totalBytes"),
            "replicaOverview": self.overview(record_id),
            "lastEventTime": _local(entity.last_us()),
            "stale": self._stale(outcome["status"], entity.last_us()),
        }

    def run(self, record_id: str) -> dict[str, Any]:
        """The answer of ``GET /{recordId}``."""
        facts = self._records[record_id].facts(RECORD_FACTS)
        return {
            "replicaObjectType": facts.get("replicaObjectType", "REPOSITORY"),
            "replicaType": facts.get("replicaType", "SCHEDULED"),
            "record": self.record(record_id),
        }

    def overview(self, record_id: str) -> dict[str, Any] | None:
        """A roll-up; None where nothing is known."""
        if record_id not in self._records and record_id not in self._details:
            return None
        details = self.details(record_id)
        facts = self._records[record_id].facts(RECORD_FACTS) if record_id in self._records else {}
        by_status = [detail["status"] for detail in details]
        return {
            "success": by_status.count("SUCCESS"),
            "failed": by_status.count("FAILED"),
            "running": by_status.count("RUNNING"),
            "total": len(details),
            "expected": facts.get("expectedDetails"),
            "skip": sum(detail["progress"]["skip"] for detail in details),
            "conflict": sum(detail["conflictStrategy"] is not None for detail in details),
            "totalSize": sum(detail["progress"]["totalSize"] for detail in details),
        }

    def detail(self, record_id: str, detail_id: str) -> dict[str, Any]:
        """A Detail."""
        entity = self._details[record_id][detail_id]
        facts, outcome = entity.facts(DETAIL_FACTS), entity.outcome()
        progress = entity.latest(_progress) or {"blob": None, "node": None, "version": None, "totalSize": 0}
        counted: dict[str, int] = next((progress[kind] for kind in ("version", "node", "blob") if progress[kind]), {})
        versions = facts.get("versions", [facts["version"]] if "version" in facts else None)
        strategy = facts.get("conflictStrategy")
        key = facts.get("packageKey", facts.get("packageName"))
        return {
            "id": detail_id,
            "recordId": record_id,
            "localCluster": facts.get("localCluster", ""),
            "remoteCluster": facts.get("remoteCluster", ""),
            "localRepoName": facts.get("repoName", ""),
            "repoType": facts.get("repoType", "GENERIC").upper(),
            "packageConstraint": None if key is None else {"packageKey": key, "versions": versions},
            "pathConstraint": {"path": facts["path"]} if "path" in facts else None,
            "artifactName": facts.get("artifactName"),
            "version": facts.get("version"),
            "conflictStrategy": None if strategy is None else strategy.upper(),
            "size": facts.get("size"),
            "sha256": facts.get("sha256"),
            "status": outcome["status"],
            "progress": {
                "blob": progress["blob"],
                "node": progress["node"],
                "version": progress["version"],
                "totalSize": progress["totalSize"],
                **{name: counted.get(name, 0) for name in ("success", "skip", "failed")},
            },
            "startTime": _local(entity.start_us()),
            "endTime": _local(outcome["endTime"]),
            "errorReason": outcome["errorReason"],
            "lastEventTime": _local(entity.last_us()),
            "stale": self._stale(outcome["status"], entity.last_us()),
        }

    def _ordered(self, task_key: str) -> list[str]:
        return sorted(self._tasks.get(task_key, ()), key=lambda i: self._order(self._records[i], i), reverse=True)

    def records(self, task_key: str, status: str = "") -> list[dict[str, Any]]:
        """All records of a task, newest first."""
        records = [self.record(record_id) for record_id in self._ordered(task_key)]
        return [record for record in records if status in ("", record["status"])]

    def tasks(self, prefix: str = "", status: str = "") -> list[dict[str, Any]]:
        """The tasks whose key begins with ``prefix``, each with its latest record, the last active ones first."""
        latest = {key: self.record(self._ordered(key)[0]) for key in self._tasks if key.startswith(prefix)}
        shown = {key: record for key, record in latest.items() if status in ("", record["status"])}
        active = {key: self._records[record["id"]].active_us() // 1000 for key, record in shown.items()}
        ordered = sorted(shown, key=lambda key: (active[key], key.encode()), reverse=True)
        return [{"taskKey": key, "record": shown[key]} for key in ordered]

    def latest(self, keys: list[str]) -> list[dict[str, Any]]:
        """The tasks of these keys with their latest records, null for none."""
        return [{"taskKey": key, "record": next(iter(self.records(key)), None)} for key in keys]

    def runs(self, keys: list[str], last: int) -> list[dict[str, Any]]:
        """The ``last`` runs of each of these tasks, in short."""
        shown = ("id", "status", "startTime", "endTime")
        found = []
        for key in keys:
            records = self.records(key)
            runs = [{name: record[name] for name in shown} for record in records[:last]]
            found.append({"taskKey": key, "totalRecords": len(records), "runs": runs})
        return found

    def counts(self, record_id: str, by: str, cluster: str = "") -> list[dict[str, Any]]:
        """How many details of each status there are by ``cluster``, ``repository`` or ``pair``."""
        groups: dict[tuple[str | None, str | None], list[str]] = {}
        for detail in self.details(record_id, remoteCluster=cluster):
            remote = None if by == "repository" else detail["remoteCluster"]
            repo = None if by == "cluster" else detail["localRepoName"]
            groups.setdefault((remote, repo), []).append(detail["status"])
        rows = [
            {
                "remoteCluster": remote,
                "localRepoName": repo,
                "success": found.count("SUCCESS"),
                "failed": found.count("FAILED"),
                "running": found.count("RUNNING"),
                "total": len(found),
            }
            for (remote, repo), found in groups.items()
        ]
        return sorted(rows, key=lambda row: (-row["failed"], row["remoteCluster"] or "", row["localRepoName"] or ""))

    def details(self, record_id: str, **filters: str) -> list[dict[str, Any]]:
        """All details of a record that meet the filters (the API's parameter names), newest first."""
        entities = self._details.get(record_id, {})
        ids = sorted(entities, key=lambda i: self._order(entities[i], i), reverse=True)
        return [
            self.detail(record_id, detail_id)
            for detail_id in ids
            if self._matches(record_id, detail_id, {name: text for name, text in filters.items() if text})
        ]

    def reasons(self, record_id: str, limit: int, *, examined: int = 5000) -> dict[str, Any]:
        """Why details failed."""
        failed = self.details(record_id, status="FAILED")
        groups: dict[str | None, list[dict[str, Any]]] = {}
        for detail in failed[:examined]:
            reason = detail["errorReason"]
            groups.setdefault(None if reason is None else masked(reason), []).append(detail)
        rows = [
            {
                "errorReason": reason,
                "failed": len(found),
                "remoteClusters": sorted({detail["remoteCluster"] for detail in found}),
                "detailId": found[0]["id"],
            }
            for reason, found in groups.items()
        ]
        rows.sort(key=lambda row: (-row["failed"], row["errorReason"] is None, row["errorReason"] or ""))
        return {"failed": len(failed), "examined": len(failed[:examined]), "reasons": rows[:limit]}

    def silent_details(self, record_id: str, limit: int, *, examined: int = 5000) -> dict[str, Any]:
        """The details that a record waits for."""
        overview = self.overview(record_id)
        if overview is None:
            return {
                **dict.fromkeys(("lastActivityTime", "expected", "missing")),
                "running": 0,
                "examined": 0,
                "details": [],
            }
        every = [*self._details.get(record_id, {}).values(), *filter(None, [self._records.get(record_id)])]
        running = self.details(record_id, status="RUNNING")
        oldest = sorted(running[:examined], key=lambda row: (row["lastEventTime"], row["id"].encode()))
        expected = overview["expected"]
        return {
            "lastActivityTime": _local(max(each.last_us() for each in every)),
            "expected": expected,
            "missing": None if expected is None else max(0, expected - overview["total"]),
            "running": len(running),
            "examined": len(running[:examined]),
            "details": oldest[:limit],
        }

    def silent(self, silent_for_s: int, prefix: str = "") -> list[dict[str, Any]]:
        """The RUNNING records of tasks under ``prefix`` that had no event for longer, longest silent first."""
        assert self.now_us is not None
        found = []
        for record_id, entity in self._records.items():
            details = self._details.get(record_id, {})
            active_ms = max(each.last_us() for each in (entity, *details.values())) // 1000
            silent = self.now_us // 1000 - active_ms > silent_for_s * 1000
            mine = any(key.startswith(prefix) for key in sorted(self._named[record_id])[:MOST_TASK_KEYS])
            if silent and mine and entity.outcome()["status"] == "RUNNING":
                found.append((active_ms, record_id))
        return [
            {"record": self.record(record_id), "lastActivityTime": _local(active_ms * 1000)}
            for active_ms, record_id in sorted(found)
        ]

    def lines(self, record_id: str, **filters: str) -> list[dict[str, Any]]:
        """The lines of an export as NDJSON."""
        details = self.details(record_id, **filters)
        return [*details, {"rows": len(details)}]

    def cells(self, record_id: str, **filters: str) -> list[list[str]]:
        """The cells of an export as CSV, the names of its columns first."""
        return [COLUMNS, *([_cell(row, column) for column in COLUMNS] for row in self.details(record_id, **filters))]

    @staticmethod
    def _order(entity: Entity, entity_id: str) -> tuple[int, bytes]:
        return entity.start_us() // 1000, entity_id.encode()

    def _matches(self, record_id: str, detail_id: str, filters: dict[str, str]) -> bool:
        entity = self._details[record_id][detail_id]
        facts = entity.facts(DETAIL_FACTS)
        key = facts.get("packageKey")
        package = facts.get("packageName")
        if package is None and key is not None:
            package = key.split("://", 1)[1] if "://" in key else key
        prefixes = {
            "packageName": package,
            "repoName": facts.get("repoName"),
            "clusterName": facts.get("remoteCluster"),
            "path": facts.get("path"),
            "artifactName": facts.get("artifactName"),
        }
        exact = {
            "status": entity.outcome()["status"],
            "version": facts.get("version"),
            "remoteCluster": facts.get("remoteCluster"),
            "localRepoName": facts.get("repoName"),
        }
        for name, wanted in filters.items():
            if name in exact:
                if exact[name] != wanted:
                    return False
                continue
            found = prefixes[name]
            if name == "packageName" and "://" in wanted:
                found = facts.get("packageKey", facts.get("packageName"))
            if found is None or not found.startswith(wanted):
                return False
        return True
