"""Sample data of the simulated workers: tasks, clusters, repositories, packages and artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from random import Random

LOCAL_CLUSTER = "center"
REMOTE_CLUSTERS = ("dev", "shanghai", "shenzhen", "frankfurt")
CONFLICT_STRATEGIES = ("SKIP", "OVERWRITE", "FAST_FAIL")
#: Share of the details that have a conflict.
CONFLICT_PART = 0.05
#: Maximum blobs of one detail, and maximum bytes of one blob.
MOST_BLOBS = 12
MOST_BLOB_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Task:
    """A replication task: the names of its runs, and what they copy."""

    key: str
    name: str
    replica_type: Literal["SCHEDULED", "REAL_TIME", "RUN_ONCE", "EDGE_PULL", "FEDERATION"]
    object_type: Literal["REPOSITORY", "PACKAGE", "PATH"]
    repo_type: str
    repo_names: tuple[str, ...]
    #: Package keys, or folders for generic artifacts.
    contents: tuple[str, ...]


#: The runs of a stream belong to these tasks in turn.
TASKS = (
    Task(
        key="npm-nightly",
        name="npm packages, every night",
        replica_type="SCHEDULED",
        object_type="REPOSITORY",
        repo_type="NPM",
        repo_names=("npm-local", "npm-release"),
        contents=(
            "npm://helloworld",
            "npm://@acme/charts",
            "npm://@acme/icons",
            "npm://left-pad",
            "npm://lodash",
        ),
    ),
    Task(
        key="maven-release",
        name="Maven releases",
        replica_type="REAL_TIME",
        object_type="PACKAGE",
        repo_type="MAVEN",
        repo_names=("maven-release",),
        contents=("gav://com.acme:billing", "gav://com.acme:ledger", "gav://com.acme.web:portal"),
    ),
    Task(
        key="docker-edge",
        name="container images to the edge",
        replica_type="EDGE_PULL",
        object_type="PACKAGE",
        repo_type="DOCKER",
        repo_names=("docker-local", "docker-prod"),
        contents=(
            "docker://acme/portal",
            "docker://acme/ledger",
            "docker://base/alpine",
            "docker://base/jre",
        ),
    ),
    Task(
        key="builds-mirror",
        name="build outputs, once",
        replica_type="RUN_ONCE",
        object_type="PATH",
        repo_type="GENERIC",
        repo_names=("generic-local",),
        contents=("/builds/portal", "/builds/ledger", "/installers/windows", "/installers/linux"),
    ),
    Task(
        key="team-a/npm-live",
        name="npm packages of team A, as they are published",
        replica_type="REAL_TIME",
        object_type="PACKAGE",
        repo_type="NPM",
        repo_names=("npm-local",),
        contents=("npm://@team-a/forms", "npm://@team-a/tables"),
    ),
    Task(
        key="team-a/installers",
        name="installers of team A",
        replica_type="SCHEDULED",
        object_type="PATH",
        repo_type="GENERIC",
        repo_names=("generic-local", "generic-release"),
        contents=("/installers/forms", "/installers/tables"),
    ),
    Task(
        key="team-b/federation",
        name="images of team B, between sites",
        replica_type="FEDERATION",
        object_type="PACKAGE",
        repo_type="DOCKER",
        repo_names=("docker-local",),
        contents=("docker://team-b/search", "docker://team-b/mail"),
    ),
)


@dataclass(frozen=True)
class DetailPlan:
    """One detail to simulate: its facts by the field names of the event structs, and its size."""

    detail_id: str
    facts: dict[str, Any]
    blobs: int
    total_size: int


def make_id(rng: Random) -> str:
    """Generate an id of 24 hexadecimal digits."""
    return f"{rng.getrandbits(96):024x}"


def plan_detail(rng: Random, task: Task) -> DetailPlan:
    """Generate one random detail of ``task``."""
    blobs = rng.randint(1, MOST_BLOBS)
    size = blobs * rng.randint(1, MOST_BLOB_BYTES)
    facts = {
        "local_cluster": LOCAL_CLUSTER,
        "remote_cluster": rng.choice(REMOTE_CLUSTERS),
        "repo_name": rng.choice(task.repo_names),
        "repo_type": task.repo_type,
    }
    facts |= _artifact(rng, task, size) if task.object_type == "PATH" else _package(rng, task)
    if rng.random() < CONFLICT_PART:
        facts["conflict_strategy"] = rng.choice(CONFLICT_STRATEGIES)
    return DetailPlan(make_id(rng), facts, blobs, size)


def _package(rng: Random, task: Task) -> dict[str, Any]:
    newest = rng.randint(1, 40)
    versions = [f"1.{newest + step}.0" for step in range(rng.randint(1, 3))]
    return {"package_key": rng.choice(task.contents), "versions": versions}


def _artifact(rng: Random, task: Task, size: int) -> dict[str, Any]:
    folder, build = rng.choice(task.contents), rng.randint(1, 9999)
    name = f"{folder.rpartition('/')[2]}-{build}.tar.gz"
    return {
        "path": f"{folder}/{build}/{name}",
        "artifact_name": name,
        "version": str(build),
        "size": size,
        "sha256": f"{rng.getrandbits(256):064x}",
    }
