"""Every answer about a seeded stream with awkward names is what the oracle says, and is of the documented model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from replog_api.contracts import schemas
from tests.support.query_service import page_of
from tests.support.streams import AWKWARD_IDS

if TYPE_CHECKING:
    from tests.support.api.served import Awkward

pytestmark = pytest.mark.every_topology

STATUSES = ("", "RUNNING", "SUCCESS", "FAILED")


def documented(kind: Any, body: bytes) -> None:
    """Require the body to be of the documented model, with nothing beside it."""
    schemas.Envelope[kind].model_validate_json(body)


async def test_the_stream_is_worth_reading(awkward: Awkward) -> None:
    """It has what the tests are about."""
    model = awkward.model
    assert set(AWKWARD_IDS) < set(model.record_ids)
    details = [detail for record_id in model.record_ids for detail in model.details(record_id)]
    assert {detail["status"] for detail in details} == set(STATUSES[1:])
    assert any(len(model.records(key)) > 30 for key in model.task_keys)
    assert any(model.overview(record_id)["totalSize"] > 2**64 for record_id in model.record_ids)  # type: ignore[index]


async def test_lists_of_records(awkward: Awkward) -> None:
    """Of every task, complete and newest first."""
    for key in awkward.model.task_keys:
        await awkward.service.is_answered(awkward.model.records(key), "list", key)


async def test_lists_of_details(awkward: Awkward) -> None:
    """Of every record, complete and newest first."""
    for record_id in awkward.model.record_ids:
        await awkward.service.is_answered(awkward.model.details(record_id), "detail/list", record_id)


@pytest.mark.parametrize("status", STATUSES)
async def test_pages_of_records(awkward: Awkward, status: str) -> None:
    """Of every task and status, first to past the end."""
    for key in awkward.model.task_keys:
        rows = awkward.model.records(key, status)
        for number, size in ((0, 1), (2, 3), (3, 7), (1, 1000), (2, 1000)):
            query = {"pageNumber": number, "pageSize": size, "status": status}
            await awkward.service.is_answered(page_of(rows, number, size), "page", key, **query)


async def test_pages_of_details(awkward: Awkward) -> None:
    """Of every record, first to past the end."""
    for record_id in awkward.model.record_ids:
        rows = awkward.model.details(record_id)
        for number, size in ((1, 1), (2, 2), (1, 1000), (9, 7)):
            query = {"pageNumber": number, "pageSize": size}
            await awkward.service.is_answered(page_of(rows, number, size), "detail/page", record_id, **query)


async def test_overviews_and_records(awkward: Awkward) -> None:
    """Of every record; one that only its details made known has a roll-up and no record."""
    for record_id in awkward.model.record_ids:
        await awkward.service.is_answered(awkward.model.overview(record_id), "overview", record_id)
        if record_id == "plain2":
            assert (await awkward.service.get("", record_id)).json()["code"] == 250310
        else:
            await awkward.service.is_answered(awkward.model.run(record_id), "", record_id)


async def test_bodies_are_of_the_documented_models(awkward: Awkward) -> None:
    """Field for field, with no field that is not documented."""
    service, page = awkward.service, {"pageNumber": 1, "pageSize": 1000}
    for key in awkward.model.task_keys:
        documented(list[schemas.Record], (await service.get("list", key)).content)
        documented(schemas.Page[schemas.Record], (await service.get("page", key, **page)).content)
    for record_id in awkward.model.record_ids:
        documented(list[schemas.Detail], (await service.get("detail/list", record_id)).content)
        documented(schemas.Page[schemas.Detail], (await service.get("detail/page", record_id, **page)).content)
        documented(schemas.Overview, (await service.get("overview", record_id)).content)
    documented(schemas.Run, (await service.get("", "plain")).content)
