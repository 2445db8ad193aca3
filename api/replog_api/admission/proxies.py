"""Address of the client of a request: the peer's, or the one that a trusted proxy forwards. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from replog.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The environment variable that names the proxies, as for uvicorn and others.
FORWARDED_ALLOW_IPS = "FORWARDED_ALLOW_IPS"
_FORWARDED_FOR = b"x-forwarded-for"
#: Most addresses that are read, from the nearest proxy's on, and most bytes of them.
MAX_HOPS, MAX_BYTES = 16, 1024
#: A customer of an IPv6 network has at least so many bits of it to choose addresses from.
IPV6_BITS = 64

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def parse_proxies(text: str) -> tuple[Network, ...]:
    """The networks in a comma-separated list of addresses and networks; ``*`` is every address.

    Raises:
        SettingsError: one of them is neither.
    """
    found: list[Network] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            found += map(ip_network, ("0.0.0.0/0", "::/0") if word == "*" else (word,))
        except ValueError:
            raise SettingsError(
                f"{FORWARDED_ALLOW_IPS}={text} is wrong: {word} is no proxy's address; "
                "allowed: IP addresses and networks such as 10.0.0.0/8, comma-separated, or *"
            ) from None
    return tuple(found)


class Proxies:
    """The proxies whose ``X-Forwarded-For`` is trusted."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The client of a request that came from the address ``peer``; an IPv6 client is its /64 network.

        Behind trusted proxies it is the nearest address that is not a proxy's. Text that is no IP address ends the
        search: no trusted proxy wrote what stands before it.
        """
        if not self._networks or not self._trusts(_address(peer)):
            return _shown(peer)
        client = peer
        for hop in _hops(headers):
            address = _address(hop)
            if address is None:
                break
            client = hop
            if not self._trusts(address):
                break
        return _shown(client)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The addresses that the header names, the nearest first, without ports."""
    sent = b",".join([value for name, value in headers if name == _FORWARDED_FOR])
    # What does not fit is the end that is furthest away, and one address that is cut is none.
    words = sent[-MAX_BYTES:].decode("latin-1").split(",")[-MAX_HOPS:]
    return [_without_port(word.strip()) for word in reversed(words)] if sent else []


def _without_port(word: str) -> str:
    if word.startswith("["):
        return word[1:].partition("]")[0]
    host, colon, port = word.partition(":")
    return host if colon and port.isdigit() else word


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def _shown(host: str) -> str:
    address = _address(host)
    if isinstance(address, IPv6Address):
        return str(ip_network((address.packed, IPV6_BITS), strict=False))
    return str(address or host)
