"""The URL of Redis, as operators write it, and its parts.

::

    redis://[user:password@]host:port/0        one server; rediss:// with TLS, unix:// over a socket
    redis+sentinel://host:port,.../NAME/0      the master that these Sentinels know as NAME
    redis+cluster://host:port,...              a cluster, found by these of its nodes

``rediss+sentinel`` and ``rediss+cluster`` are the same with TLS. User and password are those of the servers that hold
data; what Sentinels ask for themselves stands in ``sentinel_username`` and ``sentinel_password``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

Topology: TypeAlias = Literal["standalone", "sentinel", "cluster"]
#: Host and port.
Address: TypeAlias = tuple[str, int]

#: What a URL may start with.
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
#: What may stand behind its ``?``; time-outs and the like are the processes' own business.
OPTIONS = ("db", "username", "password", "ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")

ALLOWED = (
    "a URL that starts with redis://, rediss:// or unix://, or is redis+sentinel://host:port,.../NAME/0 or "
    "redis+cluster://host:port,... (rediss+ with TLS), with numbers for port and database, and of the options "
    + ", ".join((*OPTIONS, *SENTINEL_OPTIONS))
)

_DEFAULT_PORTS: dict[Topology, int] = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}
_LAST_PORT = 65535
_AUTHORITY = re.compile(r"(?<=://)[^/?#]*")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What a URL says."""

    topology: Topology
    #: One server as the driver takes it, with credentials, database and options.
    server: str
    #: Sentinels, or nodes of the cluster to begin with.
    addresses: tuple[Address, ...] = ()
    #: What the Sentinels know the master as.
    name: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = None


def parse(url: str) -> RedisUrl:
    """The parts of ``url``.

    Raises:
        ValueError: it cannot be used; the message is :data:`ALLOWED`.
    """
    try:
        return _parse(url)
    except ValueError:
        raise ValueError(ALLOWED) from None


def _parse(url: str) -> RedisUrl:
    found = _AUTHORITY.search(url)
    authority = found[0] if found else ""
    # Some Pythons take no list of hosts of which one but the first stands in brackets.
    parts = urlsplit(url.replace(authority, "", 1) if "," in authority else url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _require(parts.scheme in SCHEMES)
    scheme, _, kind = parts.scheme.partition("+")
    topology: Topology = "sentinel" if kind == "sentinel" else "cluster" if kind else "standalone"
    own = {name: options.pop(name) for name in SENTINEL_OPTIONS if topology == "sentinel" and name in options}
    _require(options.keys() <= set(OPTIONS) and int(options.get("db", 0)) >= 0)
    if topology == "standalone":
        _check_server(parts.path if scheme != "unix" else "", parts.port)
        return RedisUrl(topology, url)

    user_info, at, servers = authority.rpartition("@")
    addresses = tuple(_address(server, _DEFAULT_PORTS[topology]) for server in servers.split(","))
    name, database = _place(topology, parts.path)
    _require(topology == "sentinel" or database == int(options.get("db", 0)) == 0)
    query = "&".join(part for part in parts.query.split("&") if not part.startswith(SENTINEL_OPTIONS))
    server = f"{scheme}://{user_info}{at}{servers.split(',')[0]}/{database}?{query}"
    return RedisUrl(topology, server, addresses, name, own.get("sentinel_username"), own.get("sentinel_password"))


def _check_server(path: str, port: int | None) -> None:
    _require(int(path.strip("/") or 0) >= 0 and (port is None or port >= 0))


def _place(topology: Topology, path: str) -> tuple[str, int]:
    """The name of the master and the number of the database; a cluster has neither."""
    name, _, database = path.strip("/").partition("/") if topology == "sentinel" else ("", "", path.strip("/"))
    _require((topology == "sentinel") == bool(name) and int(database or 0) >= 0)
    return name, int(database or 0)


def _address(server: str, default_port: int) -> Address:
    parts = urlsplit(f"//{server}")
    port = default_port if parts.port is None else parts.port
    _require(bool(parts.hostname) and parts.netloc == server and 0 < port <= _LAST_PORT)
    return str(parts.hostname), port


def _require(condition: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ValueError(ALLOWED)
