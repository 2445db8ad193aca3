"""Check of the ``Host`` header, by a service on loopback without tokens. Pure.

A page from anywhere may reach a loopback service through the browser on this machine: its host name only has to resolve
to 127.0.0.1 (DNS rebinding). ``Host`` is then that name, which tells such a page from a client of this service.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replog.settings import ApiSettings

#: A host, an IPv6 address in brackets, and a port or none.
_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::\d*)?")


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address, is this machine's own loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class KnownHosts:
    """The names and addresses of loopback, and ``own``, with any port."""

    def __init__(self, own: str) -> None:
        self._own = own.lower()
        self._knows = lru_cache(64)(self._look)

    def __contains__(self, header: str) -> bool:
        """Whether ``header``, a value of ``Host``, is one of them. An absent host is."""
        return not header or self._knows(header)

    def _look(self, header: str) -> bool:
        found = _HOST.fullmatch(header.lower())
        if found is None:
            return False
        host = found[1] or found[2].removesuffix(".")
        return host == self._own or is_loopback(host)


def known_hosts(settings: ApiSettings) -> KnownHosts | None:
    """The hosts that the service answers to; None where it answers to every host."""
    if settings.tokens or settings.api_insecure or not is_loopback(settings.api_host):
        return None
    return KnownHosts(settings.api_host)
