"""What is worked out for an answer: roll-ups, staleness, times in a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.query_service import event, serving

if TYPE_CHECKING:
    from tests.support.api.served import Serve
    from tests.support.query_service import QueryService

MOST = 2**63 - 1
COUNT = {"total": MOST, "success": MOST, "skip": MOST, "failed": MOST}
PROGRESS = {"blob": COUNT, "node": COUNT, "version": COUNT, "totalSize": MOST}
EMPTY = {
    "success": 0,
    "failed": 0,
    "running": 0,
    "total": 0,
    "expected": None,
    "skip": 0,
    "conflict": 0,
    "totalSize": 0,
}


async def overview(service: QueryService) -> Any:
    """The roll-up of the record, which has to be the same wherever it is shown."""
    shown = await service.data("overview", "r")
    [record] = await service.data("list", "t")
    assert record["replicaOverview"] == shown
    return shown


async def test_a_record_without_details_has_an_empty_roll_up(serve: Serve) -> None:
    """With what is expected, where that is known."""
    service = await serve(event("record.progressed"))
    assert await overview(service) == EMPTY
    await serve(event("record.started", expectedDetails=MOST))
    assert await overview(service) == EMPTY | {"expected": MOST}


async def test_sums_may_exceed_64_bits(serve: Serve) -> None:
    """Sizes and skips; those of one detail are counted by one kind of thing."""
    service = await serve(
        event("record.started"),
        *(event("detail.progressed", detailId=f"d{number}", progress=PROGRESS) for number in range(5)),
    )
    shown = await overview(service)
    assert (shown["totalSize"], shown["skip"], shown["running"]) == (5 * MOST, 5 * MOST, 5)
    detail = (await service.data("detail/list", "r"))[0]
    assert [detail["progress"][name] for name in ("totalSize", "success", "skip", "failed")] == 4 * [MOST]


async def test_a_roll_up_follows_its_details(serve: Serve) -> None:
    """Down as well as up: a newer progress may be less, and a retry opens what had ended."""
    service = await serve(
        event("record.started"),
        event("detail.started", conflictStrategy="SKIP"),
        event("detail.progressed", progress=PROGRESS),
    )
    moved = {"running": 1, "total": 1, "conflict": 1, "skip": MOST, "totalSize": MOST}
    assert await overview(service) == EMPTY | moved
    await serve(event("detail.finished", status="FAILED", progress={"node": {"skip": 2}, "totalSize": 1}))
    assert await overview(service) == EMPTY | {"failed": 1, "total": 1, "conflict": 1, "skip": 2, "totalSize": 1}
    await serve(event("detail.started", attempt=1, remoteCluster="dev"))
    assert await overview(service) == EMPTY | {"running": 1, "total": 1, "skip": 2, "totalSize": 1}


async def test_details_without_their_record_have_a_roll_up(serve: Serve) -> None:
    """The record itself stays unknown."""
    service = await serve(event("detail.finished", status="SUCCESS"))
    assert await service.data("overview", "r") == EMPTY | {"success": 1, "total": 1}
    assert (await service.get("", "r")).status_code == 400


@pytest.mark.parametrize(("stale_after_s", "stale"), [(1, True), (10**10, False)])
async def test_silence_makes_stale_what_runs(
    serve: Serve, redis_url: str, redis_prefix: str, stale_after_s: int, *, stale: bool
) -> None:
    """The status stays as it is."""
    await serve(event("record.started"), event("detail.started"))
    async with serving(redis_url, redis_prefix, stale_after_s=stale_after_s) as service:
        rows = await service.data("list", "t") + await service.data("detail/list", "r")
    assert [(row["stale"], row["status"]) for row in rows] == [(stale, "RUNNING")] * 2


async def test_what_had_an_event_lately_or_has_ended_is_not_stale(serve: Serve) -> None:
    """Whatever its start; and a clock that is ahead does no harm."""
    lately = datetime.now(UTC)
    service = await serve(
        event("record.started"),
        event("record.progressed", at=lately.isoformat()),
        event("detail.started", at=(lately + timedelta(hours=1)).isoformat()),
        event("detail.finished", detailId="ended", status="FAILED"),
    )
    rows = await service.data("list", "t") + await service.data("detail/list", "r")
    assert [row["stale"] for row in rows] == [False] * 3


@pytest.mark.parametrize(
    ("zone", "times"),
    [
        ("UTC", ("2021-05-12T12:19:08.813", "2021-12-31T23:59:59.999")),
        ("Asia/Shanghai", ("2021-05-12T20:19:08.813", "2022-01-01T07:59:59.999")),
        ("America/New_York", ("2021-05-12T08:19:08.813", "2021-12-31T18:59:59.999")),
    ],
)
async def test_all_times_are_in_the_service_s_zone(
    serve: Serve, redis_url: str, redis_prefix: str, zone: str, times: tuple[str, str]
) -> None:
    """Daylight saving as it is in force at each of them."""
    begins, ends = {"at": "2021-05-12T12:19:08.813Z"}, {"at": "2021-12-31T23:59:59.999999Z", "status": "SUCCESS"}
    await serve(
        *(event(f"{of}.started", **begins) for of in ("record", "detail")),
        *(event(f"{of}.finished", **ends) for of in ("record", "detail")),
    )
    async with serving(redis_url, redis_prefix, time_zone=zone) as service:
        for row in await service.data("list", "t") + await service.data("detail/list", "r"):
            assert (row["startTime"], row["endTime"], row["lastEventTime"]) == (*times, times[1])


async def test_years_at_the_edge_of_the_calendar_are_answered(serve: Serve, redis_url: str, redis_prefix: str) -> None:
    """Where the zone's own time has no such year, in UTC."""
    await serve(
        event("record.started", at="0001-01-01T00:00:00Z"),
        event("record.finished", at="9999-12-31T23:59:59.999999Z", status="SUCCESS"),
    )
    for zone in ("UTC", "Asia/Shanghai", "America/New_York"):
        async with serving(redis_url, redis_prefix, time_zone=zone) as service:
            [record] = await service.data("list", "t")
            assert record["startTime"].startswith("0001-01-01T")
            assert record["endTime"].startswith("9999-12-31T")
