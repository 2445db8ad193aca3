"""Processes that find a store of another layout end at once: exit code 2, and a line that says what to do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from replog.store.format.layout import LAYOUT, Mark, all_buckets
from tests.support.services.redis import connected
from tests.support.services.redis_acl import url_as_query_service
from tests.support.system import API, COLLECTOR, command, environment

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 60.0


def ended(module: str, folder: Path, redis_url: str, prefix: str) -> subprocess.CompletedProcess[str]:
    """The process, which has nothing but Redis."""
    variables = {
        "REPLOG_REDIS_URL": redis_url,
        "REPLOG_REDIS_PREFIX": prefix,
        "REPLOG_COLLECTOR_PORT": "0",
        "REPLOG_API_PORT": "0",
        "REPLOG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    return subprocess.run(
        command(module),
        env=environment(variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("module", [COLLECTOR, API])
def test_another_layout_is_refused(module: str, redis_url: str, redis_prefix: str, tmp_path: Path) -> None:
    with connected(redis_url) as client:
        client.set(all_buckets(redis_prefix)[0].layout, Mark(LAYOUT + 1, "9.9").encoded())
    url = redis_url if module == COLLECTOR else url_as_query_service(redis_url)
    process = ended(module, tmp_path, url, redis_prefix)
    assert process.returncode == 2, process.stderr
    line = process.stderr.splitlines()[-1]
    for part in (
        redis_prefix,
        f"layout {LAYOUT + 1}, written by replog 9.9",
        "run the version",
        "Rebuilding the store",
    ):
        assert part in line
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("module", [COLLECTOR, API])
def test_data_of_which_nothing_says_the_layout_are_refused(
    module: str, redis_url: str, redis_prefix: str, tmp_path: Path
) -> None:
    with connected(redis_url) as client:
        client.zadd(all_buckets(redis_prefix)[5].due, {"r": 1})
    url = redis_url if module == COLLECTOR else url_as_query_service(redis_url)
    process = ended(module, tmp_path, url, redis_prefix)
    assert process.returncode == 2, process.stderr
    assert "data and no layout" in process.stderr.splitlines()[-1]
