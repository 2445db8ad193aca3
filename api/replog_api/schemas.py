"""The API's bodies as models: for OpenAPI, and for tests to check against. Answers are not built from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

T = TypeVar("T")

#: ``yyyy-MM-ddTHH:mm:ss.SSS``, no offset.
LocalTime = Annotated[
    datetime,
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$"}),
]
Status = Literal["RUNNING", "SUCCESS", "FAILED"]


class _Schema(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class Envelope(_Schema, Generic[T]):
    """What every answer comes in; ``code`` is 0 for a good one."""

    code: int
    message: str | None
    data: T
    trace_id: str


class Page(_Schema, Generic[T]):
    """One page; ``totalRecords`` is exact."""

    page_number: int = Field(ge=1)
    page_size: int = Field(ge=1)
    total_records: int = Field(ge=0)
    total_pages: int = Field(ge=0)
    records: list[T]


class Overview(_Schema):
    """A record's roll-up over its details; ``totalSize`` in bytes."""

    success: int
    failed: int
    running: int
    total: int
    expected: int | None
    skip: int
    conflict: int
    total_size: int


class Record(_Schema):
    """One run of a task."""

    id: str
    task_key: str
    status: Status
    start_time: LocalTime
    end_time: LocalTime | None
    error_reason: str | None
    replicated_bytes: int | None
    total_bytes: int | None
    replica_overview: Overview
    last_event_time: LocalTime
    stale: bool


class Task(_Schema):
    """A task with its latest record; null where it has none."""

    task_key: str
    record: Record | None


class Run(_Schema):
    """A record with what its task replicates."""

    replica_object_type: str | None
    replica_type: str | None
    record: Record


class Watched(Run):
    """The data of a stream's events; ``reason`` is there in the last one alone."""

    overview: Overview
    reason: Literal["finished", "removed"] | None = Field(default=None)


class PackageConstraint(_Schema):
    """The package a detail copies; where only its name is known, that is the key."""

    package_key: str
    versions: list[str] | None


class PathConstraint(_Schema):
    """The path a detail copies."""

    path: str


class Count(_Schema):
    """How many of one kind of thing were handled."""

    total: int
    success: int
    skip: int
    failed: int


class Progress(_Schema):
    """How far a detail has got: ``success``, ``skip``, ``failed`` sum what is known; ``totalSize`` in bytes."""

    blob: Count | None
    node: Count | None
    version: Count | None
    total_size: int
    success: int
    skip: int
    failed: int


class Detail(_Schema):
    """One thing copied to one cluster; ``size`` in bytes."""

    id: str
    record_id: str
    local_cluster: str | None
    remote_cluster: str | None
    local_repo_name: str | None
    repo_type: str
    package_constraint: PackageConstraint | None
    path_constraint: PathConstraint | None
    artifact_name: str | None
    version: str | None
    conflict_strategy: str | None
    size: int | None
    sha256: str | None
    status: Status
    progress: Progress
    start_time: LocalTime
    end_time: LocalTime | None
    error_reason: str | None
    last_event_time: LocalTime
    stale: bool
