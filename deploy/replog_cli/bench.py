"""``replog bench``: the benchmarks of the source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from replog.errors import FatalError

#: The checkout that this module is part of, if it is not installed from a package.
CHECKOUT = Path(__file__).resolve().parents[2]


def bench(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="NAME_AND_OPTIONS", help="A benchmark, and its options.")
    ] = None,
) -> None:
    """Measure side by side with the alternatives (--quick: two minutes), or run one benchmark.

    These are browser, collect, dashboards, decode, page, polling, rows, scale, soak, store and verify. --redis URL and
    --kafka BROKER name servers; others are started, embedded ones if need be. --records and --details say how much
    there is.

    Benchmarks are part of the source: this needs an installation from a checkout, as make does it.
    """
    raise typer.Exit(run(CHECKOUT, words or []))


def run(checkout: Path, words: list[str]) -> int:
    """Run the benchmarks of ``checkout``; returns their exit code.

    Raises:
        FatalError: there is no checkout.
    """
    if not (checkout / "tests" / "benchmarks").is_dir():
        raise FatalError("replog bench needs the source: run it in a checkout in which make has installed replog")
    command = [sys.executable, "-m", "tests.benchmarks", *words]
    return subprocess.run(command, cwd=checkout, check=False).returncode  # noqa: S603 - a module of the checkout
