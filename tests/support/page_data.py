"""Runs for the tests of the web page: of every status, over clusters and repositories whose names begin alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.browser import ago, run_of

if TYPE_CHECKING:
    from tests.support.streams import Event

CLUSTERS = ("dev", "dev2", "shanghai")
REPOSITORIES = ("npm", "npm-local")
#: The runs that tests look for, by what they are.
FAILED, EARLIER, RUNNING, SILENT = "run-failed", "run-earlier", "run-running", "run-silent"


def detail(number: int, status: str = "SUCCESS", **facts: Any) -> Event:
    """The facts of one detail."""
    return {
        "status": status,
        "localCluster": "center",
        "remoteCluster": CLUSTERS[number % len(CLUSTERS)],
        "repoName": REPOSITORIES[number // len(CLUSTERS) % len(REPOSITORIES)],
        "packageKey": f"npm://package-{number}",
        "version": f"1.{number}.0",
        **({"errorReason": f"dev answered {500 + number} Insufficient Storage"} if status == "FAILED" else {}),
        **facts,
    }


def runs() -> list[Event]:
    """A task that fails, one that runs, one that is silent, one that succeeds."""
    failing = [detail(number, "FAILED" if number % 4 == 0 else "SUCCESS") for number in range(20)]
    healed = [detail(number, "FAILED" if number % 5 == 0 else "SUCCESS") for number in range(20)]
    mixed = [detail(number, "RUNNING" if number > 7 else "SUCCESS") for number in range(10)]
    return [
        *run_of(EARLIER, "team-a/npm-sync", started=ago(hours=3), ended=ago(hours=2, minutes=50), details=healed),
        *run_of(FAILED, "team-a/npm-sync", started=ago(hours=1), ended=ago(minutes=50), details=failing),
        *run_of(RUNNING, "team-a/docker", started=ago(minutes=2), details=mixed, expectedDetails=40),
        *run_of(SILENT, "team-b/maven", started=ago(minutes=45), details=mixed[:9], expectedDetails=12),
        *run_of("run-good", "team-b/charts", started=ago(minutes=20), ended=ago(minutes=12), details=[detail(1)]),
    ]
