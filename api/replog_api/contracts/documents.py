"""The OpenAPI and the AsyncAPI document, as the service serves them.

``python -m replog_api.contracts.documents FOLDER`` writes both into a folder (``make contracts``).
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from replog_api.contracts import asyncapi
from replog_api.contracts.openapi import document
from replog_api.contracts.operations import OPERATIONS


@cache
def openapi_json() -> bytes:
    """The OpenAPI document."""
    return _text(document.document(OPERATIONS))


@cache
def asyncapi_json() -> bytes:
    """The AsyncAPI document."""
    return _text(asyncapi.document())


#: The documents by the names of their files.
CONTRACTS = {"openapi.json": openapi_json, "asyncapi.json": asyncapi_json}


def _text(document: dict[str, Any]) -> bytes:
    # People read it in diffs: line by line, and Chinese unescaped.
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def main(folder: Path) -> None:
    """Write both into ``folder``."""
    for name, contract in CONTRACTS.items():
        (folder / name).write_bytes(contract())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
