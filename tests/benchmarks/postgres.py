"""PostgreSQL with the indexes a good engineer would give it, on the same details: a cluster of its own, fsync on."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson
import psycopg

from tests.benchmarks.asking import Answer
from tests.benchmarks.machine import pin
from tests.benchmarks.plain_store import content_of
from tests.benchmarks.servers import SERVERS_CORE
from tests.benchmarks.store_data import BATCH, chunks
from tests.benchmarks.store_questions import LIMIT
from tests.support.services import ServiceUnavailableError
from tests.support.services.process import ServerProcess, free_port, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from replog.store.read.filters import DetailFilter
    from tests.benchmarks.store_data import RecordRow, Row

_USER = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")
#: For one client on one core that reads what lies in memory.
_OPTIONS = {
    "shared_buffers": "2GB",
    "effective_cache_size": "6GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "listen_addresses": "127.0.0.1",
}
_TABLES = """
CREATE TABLE detail (
    record_id text NOT NULL, id text NOT NULL, start_ms bigint NOT NULL, status text NOT NULL, cluster text NOT NULL,
    repo text NOT NULL, package text NOT NULL, content text NOT NULL);
CREATE TABLE record (
    task_key text NOT NULL, id text NOT NULL, start_ms bigint NOT NULL, status text NOT NULL, content text NOT NULL);
"""
_INDEXES = (
    "CREATE UNIQUE INDEX ON detail (record_id, id)",
    "CREATE INDEX ON detail (record_id, start_ms DESC, id DESC)",
    "CREATE INDEX ON detail (record_id, status, start_ms DESC, id DESC)",
    "CREATE INDEX ON detail (record_id, cluster text_pattern_ops, repo text_pattern_ops, status)",
    "CREATE INDEX ON detail (record_id, repo text_pattern_ops, cluster text_pattern_ops, status)",
    "CREATE INDEX ON detail (record_id, package text_pattern_ops, start_ms DESC, id DESC)",
    "CREATE UNIQUE INDEX ON record (task_key, id)",
    "CREATE INDEX ON record (task_key, start_ms DESC, id DESC)",
    "CREATE INDEX ON record (task_key, status, start_ms DESC, id DESC)",
)
_COPY_DETAILS = "COPY {} (record_id, id, start_ms, status, cluster, repo, package, content) FROM STDIN"
_COPY_RECORDS = "COPY record (task_key, id, start_ms, status, content) FROM STDIN"
# As the collector must: what comes twice, or late, changes nothing.
_MERGE = """
INSERT INTO detail SELECT * FROM incoming
ON CONFLICT (record_id, id) DO UPDATE SET (start_ms, status, cluster, repo, package, content)
  = (excluded.start_ms, excluded.status, excluded.cluster, excluded.repo, excluded.package, excluded.content)
WHERE detail.start_ms < excluded.start_ms
"""


class Postgres:
    """The server and one client of it, from ``with`` on."""

    def __init__(self) -> None:
        self._binaries = _binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="replog-postgres-"))
        self._server = ServerProcess(self._folder / "log")
        self._client: psycopg.Connection[Any]
        #: The process that serves the client.
        self.pid = 0
        self.version = run([str(self._binaries / "postgres"), "--version"], 10).strip()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._end()

    def _start(self) -> None:
        port = free_port()
        data = self._folder / "data"
        as_user: list[str] = []
        if os.geteuid() == 0:
            # The server refuses to run as root.
            shutil.chown(self._folder, _USER, _USER)
            as_user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
        initdb = [str(self._binaries / "initdb"), "-D", str(data), "-U", _USER, "--auth=trust", "-E", "UTF8"]
        run([*as_user, *initdb, "--locale=C"], 60)
        options = {**_OPTIONS, "port": str(port), "unix_socket_directories": str(self._folder)}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        address = f"host=127.0.0.1 port={port} user={_USER} dbname=postgres"
        self._server.start(
            [*as_user, str(self._binaries / "postgres"), "-D", str(data), *words], lambda: _answers(address), 30
        )
        assert self._server._process
        # Later children inherit it; those that run already do little.
        pin(self._server._process.pid, SERVERS_CORE)
        self._client = psycopg.connect(address, autocommit=True, prepare_threshold=0)
        self.pid = self._client.info.backend_pid
        self._client.execute(_TABLES, prepare=False)

    def _end(self) -> None:
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, record_id: str, rows: Iterable[Row]) -> None:
        """Write ``rows`` into the table, which has no indexes yet."""
        self._copy(_COPY_DETAILS.format("detail"), (_line(record_id, row) for row in rows))

    def add_records(self, task_key: str, rows: Iterable[RecordRow]) -> None:
        """Write the records of a task."""
        lines = (f"{task_key}\t{row.record_id}\t{row.start_ms}\t{row.status}\t{_json(row._asdict())}\n" for row in rows)
        self._copy(_COPY_RECORDS, lines)

    def _copy(self, statement: str, lines: Iterable[str]) -> None:
        with self._client.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for some in chunks(lines, 1000):
                copy.write("".join(some))

    def index(self) -> None:
        """Make the indexes, and look at the data as its planner wants it."""
        for statement in _INDEXES:
            self._client.execute(statement.encode(), prepare=False)
        self._client.execute("VACUUM ANALYZE", prepare=False)

    def merge(self, record_id: str, rows: Iterable[Row]) -> float:
        """Merge ``rows`` in transactions of a batch each; returns the seconds that took."""
        self._client.execute("CREATE TEMP TABLE incoming (LIKE detail) ON COMMIT DELETE ROWS", prepare=False)
        seconds = 0.0
        for chunk in chunks(rows, BATCH):
            lines = [_line(record_id, row) for row in chunk]
            begun = time.perf_counter()
            with self._client.transaction():
                self._copy(_COPY_DETAILS.format("incoming"), lines)
                self._client.execute(_MERGE)
            seconds += time.perf_counter() - begun
        return seconds

    async def page(self, record_id: str, flt: DetailFilter, offset: int) -> Answer:
        """As :class:`tests.benchmarks.asking.Store` says."""
        prefixes = {"cluster": flt.cluster_name, "repo": flt.repo_name, "package": flt.package_name}
        where = ["record_id = %s", *(["status = %s"] if flt.status else [])]
        values = [record_id, *([flt.status] if flt.status else [])]
        for column, prefix in prefixes.items():
            if prefix:
                where.append(f"{column} LIKE %s")
                values.append(_escaped(prefix) + "%")
        total, rows = self._page("detail", " AND ".join(where), values, offset)
        return Answer(total, [row[0] for row in rows])

    def record_page(self, task_key: str, status: str, offset: int) -> int:
        """Read a page of the task's records; returns the total."""
        where = "task_key = %s AND status = %s" if status else "task_key = %s"
        return self._page("record", where, [task_key, *([status] if status else [])], offset)[0]

    def _page(self, table: str, where: str, values: Sequence[Any], offset: int) -> tuple[int, list[Any]]:
        statement = (
            f"SELECT (SELECT count(*) FROM {table} WHERE {where}), page.* FROM (SELECT id, content FROM {table} "  # noqa: S608 - the benchmark's own words
            f"WHERE {where} ORDER BY start_ms DESC, id DESC LIMIT {LIMIT} OFFSET %s) page"
        )
        rows = self._client.execute(statement.encode(), [*values, *values, offset], prepare=True).fetchall()
        return (rows[0][0] if rows else 0), [row[1:] for row in rows]


def _binaries() -> Path:
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"))
    if not versions:
        raise ServiceUnavailableError("the benchmark wants PostgreSQL (apt-get install postgresql), or --skip-postgres")
    return versions[-1].parent


def _answers(address: str) -> bool:
    try:
        psycopg.connect(address, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _line(record_id: str, row: Row) -> str:
    columns = (record_id, row.detail_id, str(row.start_ms), row.status, row.cluster, row.repo, row.package)
    return "\t".join((*columns, _json(content_of(row)))) + "\n"


def _json(content: dict[str, Any]) -> str:
    return orjson.dumps(content).decode().replace("\\", "\\\\")


def _escaped(prefix: str) -> str:
    return prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
