"""Tools of the system that tests run: skipped loudly where one is missing, a failure in CI, where all are installed."""

from __future__ import annotations

import os
import shutil

import pytest


def required(tool: str, variable: str) -> str:
    """The path of ``tool``; where it is missing the test fails if ``variable`` is set, and is skipped otherwise."""
    found = shutil.which(tool)
    if found is None:
        missing = f"{tool} is not installed"
        if os.environ.get(variable):
            pytest.fail(f"{missing}, and {variable} asks for it")
        pytest.skip(f"{missing}; {variable} makes this a failure")
    return found
