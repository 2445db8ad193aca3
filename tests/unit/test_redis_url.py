"""The URL of Redis, taken apart."""

from __future__ import annotations

from typing import Any

import certifi
import pytest
from redis.asyncio.connection import SSLConnection

from replog.redis_url import Address, parse
from replog.settings import StoreSettings, load
from replog.store.client.credentials import CurrentUrl


def server_options(url: str) -> dict[str, Any]:
    """Options of connections to the servers of ``url``."""
    return CurrentUrl(load(StoreSettings, redis_url=url)).server_options()


@pytest.mark.parametrize("url", ["redis://user:secret@h:1/2?db=3", "rediss://h", "unix:///run/redis.sock?db=1"])
def test_one_server_is_left_to_the_driver(url: str) -> None:
    """As it was written."""
    parsed = parse(url)
    assert (parsed.topology, parsed.server, parsed.addresses) == ("standalone", url, ())


def test_sentinels_have_a_name_and_a_database() -> None:
    """And credentials apart from those of the servers."""
    url = (
        "rediss+sentinel://user:p%40ss@a:1,b/main/3?sentinel_username=u&sentinel_password=s%40"
        f"&ssl_ca_certs={certifi.where()}"
    )
    parsed = parse(url)
    assert (parsed.topology, parsed.name) == ("sentinel", "main")
    assert parsed.addresses == (("a", 1), ("b", 26379))
    assert (parsed.sentinel_username, parsed.sentinel_password) == ("u", "s@")
    options = server_options(url)
    assert options.pop("connection_class") is SSLConnection
    servers = {"username": "user", "password": "p@ss", "db": 3, "ssl_ca_certs": certifi.where()}
    assert options == {**servers, "host": "a", "port": 1}
    assert set(parsed.secrets) == {"p@ss", "s@"}
    assert "p@ss" not in repr(parsed)


@pytest.mark.parametrize(
    ("servers", "addresses"),
    [
        ("a:1", [("a", 1)]),
        ("a,b:2", [("a", 6379), ("b", 2)]),
        ("[::1]:7000,[2001:db8::2]", [("::1", 7000), ("2001:db8::2", 6379)]),
    ],
)
def test_a_cluster_is_found_by_any_of_its_nodes(servers: str, addresses: list[Address]) -> None:
    """With the port of Redis where none is given."""
    url = f"redis+cluster://:secret@{servers}"
    parsed = parse(url)
    assert (parsed.topology, list(parsed.addresses)) == ("cluster", addresses)
    assert server_options(url)["password"] == "secret"  # noqa: S105 - an example


def test_tls_is_a_matter_of_the_scheme() -> None:
    """As with one server."""
    assert "connection_class" in server_options("rediss+cluster://a:1")
    assert "connection_class" not in server_options("redis+cluster://a:1")
