"""Records, details and pages as JSON: every field in its place, every value as it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.answers import local_time, local_times
from replog.entities import Detail, Overview, Record
from replog.records import Progressed, Tallied
from replog.store.format.detail_codec import LONG
from replog.store.format.rows import StoredTask, raw_details
from replog_api.contracts import schemas
from replog_api.http.query_values import TaskPageQuery
from replog_api.queries import render
from replog_api.queries.export_formats import FORMATS
from tests.support import slow_rendering
from tests.support.model import Model
from tests.support.stored_rows import detail_of, detail_of_events, record_of, record_of_events
from tests.support.strategies import DETAIL_IDS, RECORD_IDS, Event, detail_events, record_events

if TYPE_CHECKING:
    from datetime import tzinfo

MS = 1620821948813  # 2021-05-12T12:19:08.813Z
LEAST_MS, MOST_MS = -62135596800000, 253402300799999
MOST = 2**63 - 1
STALE_AFTER_S = 900
#: What JSON has to escape, and what it need not.
TEXT = '"\\\b\n\x00\x1f\x7f\u2028/<é日😀'

OVERVIEW = Overview(success=1, failed=2, running=3, expected=None, skip=4, conflict=5, total_size=6)
RECORD = Record(
    id="r",
    task_key="t",
    task_name="not shown",
    replica_type=None,
    replica_object_type=None,
    status="RUNNING",
    start_ms=MS,
    end_ms=None,
    error_reason=None,
    replicated_bytes=None,
    total_bytes=None,
    overview=OVERVIEW,
    last_ms=MS,
)
DETAIL = Detail(
    id="d",
    record_id="r",
    local_cluster=None,
    remote_cluster=None,
    repo_name=None,
    repo_type="GENERIC",
    package_name=None,
    package_key=None,
    versions=None,
    path=None,
    artifact_name=None,
    version=None,
    conflict_strategy=None,
    size=None,
    sha256=None,
    status="RUNNING",
    progress=Progressed(),
    start_ms=MS,
    end_ms=None,
    error_reason=None,
    last_ms=MS,
)


#: Only what failed has a reason.
FAILED: dict[str, Any] = {"status": "FAILED", "end_ms": MS}

#: Times beside those of the strategies: the hours that summer time skips and repeats, and any other.
moments = st.sampled_from(
    [
        *("2021-03-28T00:59:59.999Z", "2021-03-28T01:00:00Z", "2021-10-31T00:30:00.5Z", "2021-10-31T01:30:00.5Z"),
        *("2021-04-03T15:15:00Z", "1986-05-04T00:00:00Z", "1883-11-18T17:00:01Z"),
    ]
) | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda moment: f"{moment.isoformat()}Z")  # noqa: DTZ001
zones = st.sampled_from(sorted(available_timezones())).map(ZoneInfo) | st.integers(-1080, 1080).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
unicode = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NOW = datetime(2021, 5, 12, 12, 30, tzinfo=UTC)


def of_any_text(events: st.SearchStrategy[Event]) -> st.SearchStrategy[Event]:
    """These events at any time, and with any texts where they have one that may be any."""
    return st.builds(replaced, events, moments | st.none(), unicode)


def replaced(event: Event, moment: str | None, text: str) -> Event:
    """The event at this moment, if there is one, with this text in the place of each that is free."""
    free = {"taskName", "localCluster", "repoName", "repoType", "packageName", "path", "artifactName", "version"}
    free |= {"conflictStrategy", "errorReason", "sha256"}
    changed = {name: text if name in free and value is not None else value for name, value in event.items()}
    return changed if moment is None else {**changed, "eventTime": moment}


class Rendering:
    """The renderer, for entities instead of stored rows."""

    def __init__(self, zone: str, now_ms: int) -> None:
        self._renderer = render.Renderer(ZoneInfo(zone), now_ms=now_ms, stale_after_s=STALE_AFTER_S)

    def record(self, entity: Record) -> bytes:
        return self._renderer.record(record_of(entity))

    def run(self, entity: Record) -> bytes:
        return self._renderer.run(record_of(entity))

    def task(self, key: str, entity: Record | None) -> bytes:
        return self._renderer.task(StoredTask(key, entity and record_of(entity)))

    def detail(self, entity: Detail) -> bytes:
        return self._renderer.details(raw_details([detail_of(entity)]))[1:-1]


def renderer(zone: str = "UTC", now_ms: int = MS) -> Rendering:
    """A renderer of this zone and moment."""
    return Rendering(zone, now_ms)


def record(zone: str = "UTC", now_ms: int = MS, **values: Any) -> dict[str, Any]:
    """What is rendered of the record with other ``values``."""
    return dict(json.loads(renderer(zone, now_ms).record(RECORD._replace(**values))))


def detail(**values: Any) -> dict[str, Any]:
    """What is rendered of the detail with other ``values``."""
    return dict(json.loads(renderer().detail(DETAIL._replace(**values))))


def test_a_record_has_all_its_keys_in_order() -> None:
    """Nulls included, byte for byte."""
    assert renderer().record(RECORD) == (
        b'{"id":"r","taskKey":"t","status":"RUNNING","startTime":"2021-05-12T12:19:08.813","endTime":null,'
        b'"errorReason":null,"replicatedBytes":null,"totalBytes":null,"replicaOverview":{"success":1,"failed":2,'
        b'"running":3,"total":6,"expected":null,"skip":4,"conflict":5,"totalSize":6},'
        b'"lastEventTime":"2021-05-12T12:19:08.813","stale":false}'
    )


def test_a_detail_has_all_its_keys_in_order() -> None:
    """Nulls and zeros, never a null progress."""
    assert renderer().detail(DETAIL) == (
        b'{"id":"d","recordId":"r","localCluster":"","remoteCluster":"","localRepoName":"",'
        b'"repoType":"GENERIC","packageConstraint":null,"pathConstraint":null,"artifactName":null,"version":null,'
        b'"conflictStrategy":null,"size":null,"sha256":null,"status":"RUNNING","progress":{"blob":null,"node":null,'
        b'"version":null,"totalSize":0,"success":0,"skip":0,"failed":0},"startTime":"2021-05-12T12:19:08.813",'
        b'"endTime":null,"errorReason":null,"lastEventTime":"2021-05-12T12:19:08.813","stale":false}'
    )


def test_a_run_is_a_record_with_what_its_task_replicates() -> None:
    """The two types first."""
    run = renderer().run(RECORD._replace(replica_type="SCHEDULED", replica_object_type="PATH"))
    assert run == b'{"replicaObjectType":"PATH","replicaType":"SCHEDULED","record":%b}' % renderer().record(RECORD)


@pytest.mark.parametrize("entity", [RECORD, DETAIL])
def test_what_is_rendered_is_of_the_documented_model(entity: Record | Detail) -> None:
    """The models that OpenAPI shows."""
    if isinstance(entity, Record):
        schemas.Record.model_validate_json(renderer().record(entity))
    else:
        schemas.Detail.model_validate_json(renderer().detail(entity))


@pytest.mark.parametrize("field", ["id", "task_key", "error_reason"])
def test_a_record_s_texts_are_escaped(field: str) -> None:
    """Whatever characters they have."""
    values: dict[str, Any] = {**FAILED, field: TEXT}
    assert TEXT in record(**values).values()


@pytest.mark.parametrize(
    "field",
    [
        *("id", "record_id", "local_cluster", "remote_cluster", "repo_name", "repo_type", "artifact_name"),
        *("version", "conflict_strategy", "sha256", "error_reason"),
    ],
)
def test_a_detail_s_texts_are_escaped(field: str) -> None:
    """Whatever characters they have; an empty text is no null."""
    # What is answered in capitals escapes as the rest does.
    shown = TEXT.upper() if field in {"repo_type", "conflict_strategy"} else TEXT
    assert shown in detail(**{**FAILED, field: TEXT}).values()
    assert "" in detail(**{**FAILED, field: ""}).values()


def test_a_package_is_shown_by_its_key() -> None:
    """Where only its name is known, that is the key; the versions are as they came."""
    assert detail(package_name="n")["packageConstraint"] == {"packageKey": "n", "versions": None}
    assert detail(package_name="n", package_key=TEXT, versions=["1", TEXT])["packageConstraint"] == {
        "packageKey": TEXT,
        "versions": ["1", TEXT],
    }
    assert detail(package_key="", versions=[])["packageConstraint"] == {"packageKey": "", "versions": []}
    assert detail(versions=["1"])["packageConstraint"] is None


def test_a_package_s_versions_are_at_least_the_detail_s() -> None:
    """Where the worker gave some, those."""
    assert detail(package_name="n", version="2")["packageConstraint"] == {"packageKey": "n", "versions": ["2"]}
    assert detail(package_name="n", version="2", versions=["1"])["packageConstraint"]["versions"] == ["1"]
    assert detail(package_name="n", version="2", versions=[])["packageConstraint"]["versions"] == []
    assert detail(version="2")["packageConstraint"] is None


def test_what_clients_take_for_an_enumeration_is_in_capitals() -> None:
    """However the worker wrote it."""
    shown = detail(repo_type="Npm", conflict_strategy="overwrite")
    assert (shown["repoType"], shown["conflictStrategy"]) == ("NPM", "OVERWRITE")
    assert detail()["conflictStrategy"] is None


def test_a_run_whose_start_was_not_seen_has_types() -> None:
    """The API's own clients take no null there."""
    run = json.loads(renderer().run(RECORD))
    assert (run["replicaType"], run["replicaObjectType"]) == ("SCHEDULED", "REPOSITORY")
    schemas.Run.model_validate(run)


def test_a_path_is_an_object() -> None:
    """An empty one too."""
    assert detail(path=TEXT)["pathConstraint"] == {"path": TEXT}
    assert detail(path="")["pathConstraint"] == {"path": ""}


def test_numbers_of_64_bits_are_exact() -> None:
    """And sums beyond them."""
    assert record(replicated_bytes=MOST, total_bytes=0)["replicatedBytes"] == MOST
    assert detail(size=MOST)["size"] == MOST
    most = Tallied(MOST, MOST, MOST, MOST)
    shown = detail(progress=Progressed(most, most, MOST, most))["progress"]
    assert shown["blob"] == {"total": MOST, "success": MOST, "skip": MOST, "failed": MOST}
    assert [shown[name] for name in ("totalSize", "success", "skip", "failed")] == 4 * [MOST]
    large = OVERVIEW._replace(skip=2**70, total_size=2**80, expected=MOST)
    assert json.loads(render.overview(large))["totalSize"] == 2**80
    shown = record(overview=large)["replicaOverview"]
    assert [shown[name] for name in ("skip", "totalSize", "expected")] == [2**70, 2**80, MOST]


@pytest.mark.parametrize(
    ("blob", "node", "version", "shown"),
    [
        (None, None, None, (0, 0, 0)),
        ((3, 2, 1, 10), None, None, (1, 2, 3)),
        ((3, 2, 1, 10), (6, 5, 4, 9), None, (4, 5, 6)),
        ((3, 2, 1, 10), (6, 5, 4, 9), (9, 8, 7, 8), (7, 8, 9)),
        ((3, 2, 1, 10), None, (0, 0, 0, 0), (0, 0, 0)),
    ],
)
def test_artifacts_are_counted_in_one_unit(blob: Any, node: Any, version: Any, shown: tuple[int, ...]) -> None:
    """Versions before nodes before blobs; never added up."""
    tallies = [tally and Tallied(*tally) for tally in (blob, node, version)]
    found = detail(progress=Progressed(tallies[0], tallies[1], 0, tallies[2]))["progress"]
    assert (found["success"], found["skip"], found["failed"]) == shown


def test_progress_has_all_its_keys() -> None:
    """Counts keep their fields apart."""
    shown = detail(progress=Progressed(None, Tallied(3, 2, 1, 10), 7, Tallied(40, 30, 20, 100)))["progress"]
    assert shown == {
        "blob": None,
        "node": {"total": 10, "success": 1, "skip": 2, "failed": 3},
        "version": {"total": 100, "success": 20, "skip": 30, "failed": 40},
        "totalSize": 7,
        "success": 20,
        "skip": 30,
        "failed": 40,
    }


@pytest.mark.parametrize(
    ("ms", "zone", "shown"),
    [
        (0, "UTC", "1970-01-01T00:00:00.000"),
        (-1, "UTC", "1969-12-31T23:59:59.999"),
        (MS, "Asia/Shanghai", "2021-05-12T20:19:08.813"),
        (MS, "Asia/Kathmandu", "2021-05-12T18:04:08.813"),
        (1635641999999, "Europe/Berlin", "2021-10-31T02:59:59.999"),
        (1635642000000, "Europe/Berlin", "2021-10-31T02:00:00.000"),
        (LEAST_MS, "UTC", "0001-01-01T00:00:00.000"),
        (MOST_MS, "UTC", "9999-12-31T23:59:59.999"),
    ],
)
def test_times_are_local_with_three_digits_and_no_offset(ms: int, zone: str, shown: str) -> None:
    """The zone's own clock, daylight saving included."""
    assert record(zone, status="SUCCESS", end_ms=ms)["endTime"] == shown


@pytest.mark.parametrize(("ms", "zone"), [(LEAST_MS, "America/New_York"), (MOST_MS, "Asia/Shanghai")])
def test_times_that_the_zone_s_calendar_lacks_stay_as_they_are(ms: int, zone: str) -> None:
    """An answer is better than none."""
    shown = [record(name, status="SUCCESS", end_ms=ms)["endTime"] for name in (zone, "UTC")]
    assert shown[0] == shown[1]


#: Seconds since 1970 at which some zone changes its offset, some of them by seconds: New York, Monrovia, Berlin.
CHANGES_S = (-2717650800, 63593070, 1635642000)


@given(
    st.lists((st.sampled_from(CHANGES_S) | st.integers(LEAST_MS // 1000, MOST_MS // 1000)), min_size=1),
    st.lists(st.integers(-61_000, 61_000), min_size=1),
    zones | st.sampled_from(["America/New_York", "Africa/Monrovia", "Europe/Berlin"]).map(ZoneInfo),
)
def test_times_are_those_of_the_zone_s_clock(seconds: list[int], around_ms: list[int], zone: tzinfo) -> None:
    """Of any moments together, each as by itself."""
    moments = [second * 1000 + ms for second in seconds for ms in around_ms]
    moments = [min(max(ms, LEAST_MS), MOST_MS) for ms in moments]
    shown = [slow_rendering.local_time(ms, zone) for ms in moments]
    assert local_times(moments, zone) == shown
    assert [local_time(ms, zone) for ms in moments] == shown


class TestEveryRowIsWhatPlainJsonWouldBe:
    """Byte for byte, as Python's own library writes what the oracle says."""

    @given(st.lists(of_any_text(detail_events), min_size=1, max_size=4), zones)
    def test_a_detail(self, events: list[Event], zone: tzinfo) -> None:
        events = [{**event, "recordId": RECORD_IDS[0], "detailId": DETAIL_IDS[2]} for event in events]
        row = detail_of_events(RECORD_IDS[0], DETAIL_IDS[2], events)
        told = Model(events, now=NOW, stale_after_s=STALE_AFTER_S).detail(RECORD_IDS[0], DETAIL_IDS[2])
        assert now_in(zone).details(raw_details([row])) == b"[%b]" % slow_rendering.rendered(told, zone)

    @given(st.lists(st.lists(of_any_text(detail_events), min_size=1, max_size=3), max_size=5), zones)
    def test_details_in_one_go(self, details: list[list[Event]], zone: tzinfo) -> None:
        """Rows are read and encoded together, whatever each of them has and lacks."""
        rows, told = [], []
        for number, some in enumerate(details):
            pair, record_id = 0xEE + number, RECORD_IDS[number % 2]
            events = [{**event, "recordId": record_id, "detailId": f"d{number}"} for event in some]
            row = detail_of_events(record_id, f"d{number}", events)
            head = bytes((pair,)) if pair < LONG else bytes((LONG + 1, pair))
            rows.append(row._replace(value=head + row.value[1:]))
            model = Model(events, now=NOW, stale_after_s=STALE_AFTER_S)
            told.append(slow_rendering.rendered(model.detail(record_id, f"d{number}"), zone))
        found, renderer = raw_details(rows), now_in(zone)
        assert renderer.details(found) == b"[%b]" % b",".join(told)
        assert FORMATS["ndjson"].rows(renderer.detail_objects(found)) == b"".join(one + b"\n" for one in told)

    @given(
        st.lists(of_any_text(record_events), min_size=1, max_size=4),
        st.lists(st.lists(detail_events, min_size=1, max_size=3), max_size=4),
        zones,
    )
    def test_a_record(self, events: list[Event], details: list[list[Event]], zone: tzinfo) -> None:
        events = [{**event, "recordId": "r"} for event in events]
        details = [[{**event, "recordId": "r", "detailId": f"d{i}"} for event in one] for i, one in enumerate(details)]
        row = record_of_events("r", events, details)
        model = Model([*events, *(event for one in details for event in one)], now=NOW, stale_after_s=STALE_AFTER_S)
        record, run = slow_rendering.rendered(model.record("r"), zone), model.run("r")
        assert now_in(zone).record(row) == record
        types = (json.dumps(run[key]).encode() for key in ("replicaObjectType", "replicaType"))
        assert now_in(zone).run(row) == b'{"replicaObjectType":%b,"replicaType":%b,"record":%b}' % (*types, record)

    @given(st.integers(2**63 - 2, 2**97), st.integers(2**63 - 2, 2**97))
    def test_a_sum_beyond_64_bits(self, skip: int, size: int) -> None:
        large = OVERVIEW._replace(skip=skip, total_size=size)
        told = {**OVERVIEW._asdict(), "skip": skip}
        del told["total_size"]
        expected = {**told, "totalSize": size, "total": OVERVIEW.total}
        keys = ("success", "failed", "running", "total", "expected", "skip", "conflict", "totalSize")
        shown = json.dumps({key: expected[key] for key in keys}, separators=(",", ":"))
        assert shown.encode() in renderer().record(RECORD._replace(overview=large))
        assert render.overview(large) == shown.encode()


def now_in(zone: tzinfo) -> render.Renderer:
    """A renderer of the oracle's present."""
    return render.Renderer(zone, now_ms=int(NOW.timestamp() * 1000), stale_after_s=STALE_AFTER_S)


@pytest.mark.parametrize(
    ("status", "silent_ms", "stale"),
    [
        ("RUNNING", STALE_AFTER_S * 1000, False),
        ("RUNNING", STALE_AFTER_S * 1000 + 1, True),
        ("RUNNING", -1, False),
        ("SUCCESS", 10**12, False),
        ("FAILED", 10**12, False),
    ],
)
def test_what_runs_in_silence_for_longer_than_allowed_is_stale(status: str, silent_ms: int, *, stale: bool) -> None:
    """The last event counts, not the start."""
    now_ms = MS + silent_ms
    assert record(now_ms=now_ms, status=status, start_ms=0)["stale"] is stale
    shown = renderer(now_ms=now_ms).detail(DETAIL._replace(status=status, start_ms=0))
    assert json.loads(shown)["stale"] is stale


@pytest.mark.parametrize(
    ("total", "size", "pages"), [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2), (10**6, 1, 10**6)]
)
def test_a_page_counts_all_rows_and_pages(total: int, size: int, pages: int) -> None:
    """Keys in the documented order."""
    shown = render.page(TaskPageQuery.model_construct(page_number=3, page_size=size), total, b"[1,2]")
    assert shown == b'{"pageNumber":3,"pageSize":%d,"totalRecords":%d,"totalPages":%d,"records":[1,2]}' % (
        size,
        total,
        pages,
    )


def test_a_page_without_rows_has_an_empty_list() -> None:
    """Never a null."""
    assert render.page(TaskPageQuery.model_construct(page_number=1, page_size=1), 0, b"[]").endswith(b'"records":[]}')


def test_a_task_has_its_latest_record_or_none() -> None:
    """Both are there always, whatever the key is called."""
    assert json.loads(renderer().task(TEXT, None)) == {"taskKey": TEXT, "record": None}
    shown = json.loads(renderer().task("t", RECORD))
    assert list(shown) == ["taskKey", "record"]
    assert shown["record"] == json.loads(renderer().record(RECORD))
