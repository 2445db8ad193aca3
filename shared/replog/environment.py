"""Warnings about environment variables that have this project's prefix and are no settings; logged once, at startup.

Kubernetes sets variables for each Service of the namespace. A Service named ``replog-api`` gets
``REPLOG_API_PORT=tcp://10.0.0.1:8080`` and several others.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from replog.telemetry import LogAction

_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_OF_A_SERVICE = re.compile(
    r"\w*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
#: Similarity from which one name counts as a misspelling of another, as difflib measures it.
_ALIKE = 0.75


class Notice(NamedTuple):
    """The warning about one variable."""

    action: LogAction
    variable: str
    #: For ``setting_ignored`` the variable's value; for ``setting_unknown`` the nearest setting, or an empty string.
    detail: str


def is_of_a_service(variable: str, value: str) -> bool:
    """True if ``variable`` is a port setting whose value is the address of a Kubernetes Service."""
    return variable.upper().endswith("_PORT") and _ADDRESS.match(value) is not None


def notices(variables: Mapping[str, str], known: Collection[str]) -> Iterator[Notice]:
    """Warnings about ``variables``, sorted by name; ``known`` are the names of all settings."""
    for name, value in sorted(variables.items()):
        if is_of_a_service(name, value):
            if name in known:
                yield Notice("setting_ignored", name, value)
        elif name not in known and not _OF_A_SERVICE.fullmatch(name):
            yield Notice("setting_unknown", name, next(iter(get_close_matches(name, known, 1, _ALIKE)), ""))


def report(found: Iterable[Notice]) -> None:
    """Log ``found``."""
    for action, variable, detail in found:
        if action == "setting_ignored":
            logger().warning(action, variable=variable, value=detail, reason="the address of a Kubernetes Service")
        else:
            logger().warning(action, variable=variable, nearest=detail or None)
