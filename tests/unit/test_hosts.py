"""A service without tokens on loopback answers to names of loopback alone: pages of strangers have others."""

from __future__ import annotations

from typing import Any

import pytest

from replog.settings import ApiSettings, load
from replog_api.admission.hosts import known_hosts

TOKEN = f"a:{'0' * 64}"


def hosts_of(**settings: Any) -> Any:
    """What a service with these settings answers to."""
    return known_hosts(load(ApiSettings, **settings))


@pytest.mark.parametrize(
    "header",
    [
        *("localhost", "LocalHost:8080", "localhost.", "localhost.:1", "127.0.0.1", "127.0.0.1:8080", "127.8.9.10:1"),
        *("[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "localhost:", ""),
    ],
)
def test_loopback_is_known(header: str) -> None:
    """In every spelling, with any port; a client that names no host is no browser."""
    assert header in hosts_of()


@pytest.mark.parametrize(
    "header",
    [
        *("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "evil.localhost."),
        *("10.0.0.1", "0.0.0.0", "[::]", "[2001:db8::1]:80", "192.168.1.1:8080", "::1:80", "[::1", "[::1]x", "a:b:c"),
        *("user@localhost", "localhost, evil.example", "127.1", "2130706433", "\xe9"),
    ],
)
def test_every_other_name_is_not(header: str) -> None:
    """Whatever it looks like."""
    assert header not in hosts_of()


def test_the_host_that_is_set_is_known() -> None:
    """Where that is an address of loopback; others have to be authenticated or meant."""
    assert "127.0.0.2:80" in hosts_of(api_host="127.0.0.2")
    assert "[::1]:8080" in hosts_of(api_host="::1")


@pytest.mark.parametrize(
    "settings", [{"api_tokens": TOKEN}, {"api_insecure": True}, {"api_host": "0.0.0.0", "api_insecure": True}]
)
def test_every_name_is_known_where_pages_get_no_answer_or_all_may(settings: dict[str, Any]) -> None:
    """Tokens keep strangers' pages out."""
    assert hosts_of(**settings) is None
