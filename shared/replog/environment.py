"""What stands in the environment under this project's prefix and is no setting. Said once, when a process starts.

Kubernetes puts variables there for each Service of the namespace: of one named ``replog-api`` that is
``REPLOG_API_PORT=tcp://10.0.0.1:8080``, and others around it.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from replog.telemetry import LogAction

_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_OF_A_SERVICE = re.compile(
    r"\w*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
#: How alike names are of which one is taken for the other misspelt.
_ALIKE = 0.75


class Notice(NamedTuple):
    """What is to be said of one variable."""

    action: LogAction
    variable: str
    #: Its value where it is ignored for that; the name that was meant, or nothing, where it is unknown.
    detail: str


def is_of_a_service(variable: str, value: str) -> bool:
    """Whether this is no port but the address of a Service that has the variable's name."""
    return variable.upper().endswith("_PORT") and _ADDRESS.match(value) is not None


def notices(variables: Mapping[str, str], known: Collection[str]) -> Iterator[Notice]:
    """What is to be said of ``variables``, in their order; ``known`` are the names of all settings."""
    for name, value in sorted(variables.items()):
        if is_of_a_service(name, value):
            if name in known:
                yield Notice("setting_ignored", name, value)
        elif name not in known and not _OF_A_SERVICE.fullmatch(name):
            yield Notice("setting_unknown", name, next(iter(get_close_matches(name, known, 1, _ALIKE)), ""))


def report(variables: Mapping[str, str], known: Collection[str]) -> None:
    """Log :func:`notices`."""
    for action, variable, detail in notices(variables, known):
        if action == "setting_ignored":
            logger().warning(action, variable=variable, value=detail, reason="the address of a Kubernetes Service")
        else:
            logger().warning(action, variable=variable, nearest=detail or None)
