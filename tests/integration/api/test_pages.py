"""Which page is whose, and that pages and lists are complete, ordered and of the same rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from replog.store.client.scripts import FACETS
from replog.store.read.queries import StoreQueries
from tests.support.query_service import page_of, serving
from tests.support.store.intercepted import Intercepted
from tests.support.store.limits import read_limits

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from tests.support.api.served import Serve
    from tests.support.query_service import QueryService
    from tests.support.streams import Event

pytestmark = pytest.mark.every_topology

EMPTY = {"pageNumber": 1, "pageSize": 10, "totalRecords": 0, "totalPages": 0, "records": []}


def started(record_id: str, task_key: str = "task", *, at: str = "12:00:00.000", **fields: Any) -> Event:
    """The beginning of a record."""
    return {
        "type": "record.started",
        "recordId": record_id,
        "taskKey": task_key,
        "eventTime": f"2021-05-12T{at}Z",
        **fields,
    }


def detail(record_id: str, detail_id: str, *, at: str = "12:00:00.000", **fields: Any) -> Event:
    """The beginning of a detail."""
    return {
        "type": "detail.started",
        "recordId": record_id,
        "detailId": detail_id,
        "eventTime": f"2021-05-12T{at}Z",
        **fields,
    }


def ids(rows: list[dict[str, Any]]) -> list[str]:
    """The ids of rows."""
    return [row["id"] for row in rows]


async def paged(service: QueryService, endpoint: str, entity_id: str, size: int, total: int) -> list[str]:
    """The ids on all pages of ``size``, which must say ``total``."""
    found: list[str] = []
    for number in range(1, -(-total // size) + 1):
        page = await service.page(endpoint, entity_id, number, size)
        assert (page["totalRecords"], page["totalPages"]) == (total, -(-total // size))
        found += ids(page["records"])
    return found


async def test_an_id_of_a_record_means_its_details(serve: Serve) -> None:
    """Under the path that endpoints 2 and 4 share."""
    service = await serve(started("r", "t"), detail("r", "d"))
    assert ids((await service.page("detail/page", "r", 1, 10))["records"]) == ["d"]


async def test_a_task_s_key_means_its_records(serve: Serve) -> None:
    """With its status filter, and no other."""
    service = await serve(started("r", "t"), detail("r", "d"))
    assert ids((await service.page("detail/page", "t", 1, 10))["records"]) == ["r"]
    assert ids((await service.page("detail/page", "t", 1, 10, status="RUNNING"))["records"]) == ["r"]
    assert await service.page("detail/page", "t", 1, 10, status="FAILED") == EMPTY


async def test_a_text_that_is_both_means_the_record(serve: Serve) -> None:
    """Also where the record has no details, or the filter finds none; ``page`` always means the task."""
    service = await serve(started("same", "same"), started("other", "same"))
    assert await service.page("detail/page", "same", 1, 10) == EMPTY
    assert await service.page("detail/page", "same", 1, 10, clusterName="x") == EMPTY
    assert ids((await service.page("page", "same", 1, 10))["records"]) == ["same", "other"]


async def test_details_alone_make_an_id_a_record_s(serve: Serve) -> None:
    """Their record may be seen later, or never."""
    service = await serve(detail("same", "d", remoteCluster="dev"), started("r", "same"))
    assert ids((await service.page("detail/page", "same", 1, 10))["records"]) == ["d"]
    assert ids((await service.page("detail/page", "same", 1, 10, clusterName="d"))["records"]) == ["d"]
    assert ids(await service.data("detail/list", "same")) == ["d"]
    assert (await service.data("overview", "same"))["total"] == 1


@pytest.mark.parametrize("query", [{}, {"status": "RUNNING"}, {"packageName": "x"}, {"version": "1"}])
async def test_an_unknown_id_has_an_empty_page(service: QueryService, query: dict[str, str]) -> None:
    """Of both kinds, filtered or not."""
    for endpoint in ("page", "detail/page"):
        assert await service.page(endpoint, "unknown", 1, 10, **query) == EMPTY


async def test_an_unknown_id_has_empty_lists_and_no_overview(service: QueryService) -> None:
    """As the API's clients expect."""
    assert await service.data("list", "unknown") == []
    assert await service.data("detail/list", "unknown") == []
    assert await service.data("overview", "unknown") is None


async def test_a_task_s_key_is_no_record_s_id(serve: Serve) -> None:
    """Neither the other way round."""
    service = await serve(started("r", "t"), detail("r", "d"))
    assert await service.data("list", "r") == []
    assert await service.data("detail/list", "t") == []
    assert await service.data("overview", "t") is None


async def test_order_is_newest_first_then_by_id(serve: Serve) -> None:
    """Times count in milliseconds, ids by code point: what lies in between does not."""
    same = ["a", "B", "é", "\uffff", "😀", "aa", "b\x00", "b"]
    service = await serve(
        *(detail("r", other, at=f"12:00:00.0000{number}0") for number, other in enumerate(same)),
        detail("r", "newer", at="12:00:00.001"),
        detail("r", "older", at="11:59:59.999999"),
    )
    order = ["newer", "😀", "\uffff", "é", "b\x00", "b", "aa", "a", "B", "older"]
    assert ids(await service.data("detail/list", "r")) == order
    for size in (1, 3, 10):
        assert await paged(service, "detail/page", "r", size, len(order)) == order


async def test_a_detail_moves_with_its_start(serve: Serve) -> None:
    """An event from before, seen later, leaves no trace at the old place."""
    finished = {"type": "detail.finished", "status": "SUCCESS", "remoteCluster": "dev"}
    service = await serve(
        detail("r", "late", at="12:00:05") | finished,
        detail("r", "middle", at="12:00:03", remoteCluster="dev"),
    )
    assert ids(await service.data("detail/list", "r")) == ["late", "middle"]
    await serve(detail("r", "late", at="12:00:01", remoteCluster="prod"))
    assert ids(await service.data("detail/list", "r")) == ["middle", "late"]
    assert ids((await service.page("detail/page", "r", 1, 9, clusterName="dev"))["records"]) == ["middle"]
    assert ids((await service.page("detail/page", "r", 1, 9, clusterName="prod"))["records"]) == ["late"]
    assert ids((await service.page("detail/page", "r", 1, 9, status="SUCCESS"))["records"]) == ["late"]


@pytest.mark.parametrize("number", [2, 2**31 - 1])
@pytest.mark.parametrize("query", [{}, {"status": "RUNNING"}, {"packageName": "p"}, {"version": "1"}], ids=str)
async def test_a_page_past_the_end_has_true_totals(serve: Serve, number: int, query: dict[str, str]) -> None:
    """Far past it too."""
    service = await serve(started("r"), detail("r", "d", packageName="p", version="1"))
    expected = page_of([None], number, 1000)
    assert await service.page("detail/page", "r", number, 1000, **query) == expected
    assert await service.page("page", "task", number, 1000) == expected
    assert await service.page("page", "task", number, 1000, status="RUNNING") == expected


async def test_a_record_of_two_tasks_is_listed_under_both(serve: Serve) -> None:
    """And says everywhere which one won: here the one of ``record.started``."""
    finished = started("r", "second", at="12:00:09") | {"type": "record.finished", "status": "FAILED"}
    service = await serve(finished, started("r", "first", at="12:00:01"))
    for key in ("first", "second"):
        [record] = await service.data("list", key)
        assert (record["id"], record["taskKey"], record["status"]) == ("r", "first", "FAILED")
        assert await service.page("page", key, 1, 10, status="FAILED") == page_of([record], 1, 10)
        assert await service.page("page", key, 1, 10, status="RUNNING") == EMPTY


async def test_tasks_pages_follow_the_status(serve: Serve) -> None:
    """A higher attempt opens a record again, and its pages know."""
    ended = started("r", at="12:00:05") | {"type": "record.finished", "status": "FAILED"}
    service = await serve(started("r"), started("other", at="12:00:02"), ended)
    assert ids((await service.page("page", "task", 1, 10, status="FAILED"))["records"]) == ["r"]
    await serve(started("r", at="12:00:06", attempt=1))
    assert await service.page("page", "task", 1, 10, status="FAILED") == EMPTY
    assert ids((await service.page("page", "task", 1, 10, status="RUNNING"))["records"]) == ["r", "other"]


async def test_a_page_that_the_record_changed_under_is_read_anew(
    serve: Serve, redis_url: str, redis_prefix: str
) -> None:
    """Its total and its rows are of one moment."""
    await serve(detail("r", "first", packageName="p"))
    late = ["second", "third"]

    async def change() -> None:
        if late:
            await serve(detail("r", late.pop(), packageName="p"))

    def store(connection: CommandRunner) -> StoreQueries:
        return StoreQueries(Intercepted(connection, FACETS, after=change))

    async with serving(redis_url, redis_prefix, store=store) as service:
        found = await service.page("detail/page", "r", 1, 10, packageName="p")
    assert not late
    assert (ids(found["records"]), found["totalRecords"]) == (["third", "second", "first"], 3)


@pytest.mark.parametrize("step", [1, 3, 7, 500])
async def test_lists_of_several_steps_are_whole(serve: Serve, redis_url: str, redis_prefix: str, step: int) -> None:
    """Valid JSON, complete and in order, whether or not the last step is full."""
    names = [f"{number:02}" for number in range(21)]
    await serve(*(event for name in names for event in (started(name), detail("05", name))))
    store = partial(StoreQueries, limits=read_limits({"step": step, "search.step": step}))
    async with serving(redis_url, redis_prefix, store=store) as service:
        for endpoint, entity_id in (("list", "task"), ("detail/list", "05")):
            assert ids(await service.data(endpoint, entity_id)) == names[::-1]


async def test_a_long_list_is_whole(serve: Serve) -> None:
    """More rows than any step or call has."""
    names = [f"{number:04}" for number in range(1201)]
    service = await serve(*(event for name in names for event in (started(name), detail("0005", name))))
    for endpoint, entity_id in (("list", "task"), ("detail/list", "0005")):
        assert ids(await service.data(endpoint, entity_id)) == names[::-1]
        page = endpoint.replace("list", "page")
        assert await paged(service, page, entity_id, 500, len(names)) == names[::-1]
