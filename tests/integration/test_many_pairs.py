"""Pages of a record with more pairs of cluster and repository than one call reads: right, and with few calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replog.store.client.scripts import FACETS
from replog.store.read.filters import DetailFilter
from replog.store.read.reader import Reader
from tests.support.query_service import event, merge
from tests.support.store.counting import Counting
from tests.support.store.intercepted import Intercepted

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog.store.client.connection import Connection

CLUSTERS, REPOS = 4, 400
ALL = [(f"c{cluster}", f"r{repo:03}") for repo in range(REPOS) for cluster in range(CLUSTERS)]


@pytest.fixture
async def store(connection: Connection) -> Connection:
    await merge(
        connection,
        [
            event("detail.started", detailId=f"d{number:04}", remoteCluster=cluster, repoName=repo)
            for number, (cluster, repo) in enumerate(ALL)
        ],
    )
    return connection


@pytest.mark.parametrize("status", ["", "RUNNING"])
@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({"cluster_name": "c"}, lambda _, __: True),
        ({"repo_name": "r"}, lambda _, __: True),
        ({"cluster_name": "c", "repo_name": "r"}, lambda _, __: True),
        ({"local_repo_name": "r007"}, lambda _, repo: repo == "r007"),
        ({"cluster_name": "c", "local_repo_name": "r007"}, lambda _, repo: repo == "r007"),
        ({"repo_name": "r00"}, lambda _, repo: repo.startswith("r00")),
        ({"cluster_name": "c1", "repo_name": "r00"}, lambda cluster, repo: cluster == "c1" and repo.startswith("r00")),
        ({"remote_cluster": "c1", "local_repo_name": "r007"}, lambda cluster, repo: (cluster, repo) == ("c1", "r007")),
        ({"repo_name": "no"}, lambda _, __: False),
        ({"cluster_name": "no", "repo_name": "r"}, lambda _, __: False),
    ],
)
async def test_pages_are_right_and_read_the_pairs_that_they_need(
    store: Connection, status: str, conditions: dict[str, str], matches: Callable[[str, str], bool]
) -> None:
    wanted = [f"d{number:04}".encode() for number, pair in enumerate(ALL) if matches(*pair)]
    flt = DetailFilter(status=status, **conditions)
    for offset in (0, len(wanted) // 2):
        counting = Counting(store)
        page = await Reader(counting).detail_page("r", flt, offset, 20)
        assert page is not None
        assert page.total == len(wanted)
        assert [row.detail_id for row in page.rows] == wanted[::-1][offset : offset + 20]
        # No call for all pairs: no more than one a cluster, or one for a range.
        assert counting.calls["ZRANGE"] <= 1
        assert counting.calls["ZRANGEBYLEX"] <= CLUSTERS
        # Of counts, and of the version.
        assert counting.calls["HMGET"] <= 2


async def test_a_condition_that_all_meet_is_read_like_none(store: Connection) -> None:
    counting = Counting(store)
    await Reader(counting).detail_page("r", DetailFilter(cluster_name="c", repo_name="r"), 0, 20)
    assert counting.calls == {"facets": 1, "page": 1, "ZCARD": 1}


async def test_a_pair_that_comes_meanwhile_is_not_on_the_page(store: Connection) -> None:
    """Nor is it missing where it meets the condition."""
    numbers = iter(range(100))

    async def change() -> None:
        at = "2031-01-01T00:00:00Z"
        number = next(numbers)
        others = [
            event("detail.started", at=at, detailId=f"{kind}{number:02}", remoteCluster=cluster, repoName=f"r{number}")
            for kind, cluster in (("x", "x"), ("y", "c1"))
        ]
        await merge(store, others)

    reader = Reader(Intercepted(store, FACETS, after=change))
    page = await reader.detail_page("r", DetailFilter(cluster_name="c"), 0, 50)
    assert page is not None
    read = next(numbers)
    assert read > 1
    found = [row.detail_id.decode() for row in page.rows]
    assert not [detail_id for detail_id in found if detail_id.startswith("x")]
    assert [detail_id for detail_id in found if detail_id.startswith("y")]
