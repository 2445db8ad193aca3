"""Options that several commands have, and what they mean to the query API."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping


class Status(StrEnum):
    """A status of a record or detail, written in any case."""

    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


RecordArgument: TypeAlias = Annotated[str, typer.Argument(metavar="RECORD", help="The record's id.")]
StatusOption: TypeAlias = Annotated[
    Status | None, typer.Option("--status", case_sensitive=False, help="Only those with this status.")
]
LimitOption: TypeAlias = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Rows to show at most.")]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for scripts; times are in UTC.")]
FailedOption: TypeAlias = Annotated[bool, typer.Option("--failed", help="The same as --status FAILED.")]
ClusterOption: TypeAlias = Annotated[str, typer.Option("--cluster", help="Details to exactly this remote cluster.")]
RepositoryOption: TypeAlias = Annotated[str, typer.Option("--repository", help="Details of exactly this repository.")]
PackageOption: TypeAlias = Annotated[
    str, typer.Option("--package", help="Details whose package name, or key if it contains ://, begins with this.")
]
PathOption: TypeAlias = Annotated[str, typer.Option("--path", help="Details whose path begins with this.")]
ArtifactOption: TypeAlias = Annotated[
    str, typer.Option("--artifact", help="Details whose artifact name begins with this.")
]
VersionOption: TypeAlias = Annotated[str, typer.Option("--version", help="Details of exactly this version.")]


def detail_filters(
    *,
    status: Status | None,
    failed: bool,
    cluster: str,
    repository: str,
    package: str,
    path: str,
    artifact: str,
    version: str,
) -> dict[str, str]:
    """The query parameters of the filters that were given.

    Raises:
        typer.BadParameter: ``failed`` and another status were given.
    """
    if failed and status not in {None, Status.FAILED}:
        raise typer.BadParameter(f"--failed and --status {status} exclude each other; give one of them")
    given = {
        "status": Status.FAILED if failed else status,
        "remoteCluster": cluster,
        "localRepoName": repository,
        "packageName": package,
        "path": path,
        "artifactName": artifact,
        "version": version,
    }
    return {name: str(value) for name, value in given.items() if value}


def print_json(value: Mapping[str, Any]) -> None:
    """Print ``value`` as one line of JSON, in UTF-8 whatever the terminal's encoding is."""
    typer.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
