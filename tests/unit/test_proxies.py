"""Whose a request is cannot be made up by who sends it."""

from __future__ import annotations

import pytest

from replog.errors import SettingsError
from replog_api.admission.proxies import MAX_HOPS, Proxies, _shown, parse_proxies

PROXY = "10.0.0.1"


def client(peer: str, *forwarded: str, trusted: str = "10.0.0.0/8") -> str:
    """Whose a request is that came from ``peer``."""
    return Proxies(parse_proxies(trusted)).client(peer, [(b"x-forwarded-for", one.encode()) for one in forwarded])


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "203.0.113.9"])
def test_nobody_is_believed_unless_that_is_set(peer: str) -> None:
    """However many different headers one sends, it is one client; also from loopback."""
    sent = [client(peer, f"198.51.100.{number}, {number}" * 100, trusted="") for number in range(200)]
    assert len(set(sent)) == 1
    assert client("203.0.113.9", "198.51.100.1") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["[2001:db8:1:2:3::4]:80"], "2001:db8:1:2::/64"),
        (["2001:db8:1:2:ffff::5"], "2001:db8:1:2::/64"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        ([], PROXY),
        ([""], PROXY),
        (["x" * 30_000], PROXY),
        (["198.51.100.1, somebody"], PROXY),
        (["198.51.100.1, somebody, 10.2.2.2"], "10.2.2.2"),
    ],
)
def test_a_trusted_proxy_says_who_it_is(forwarded: list[str], expected: str) -> None:
    """The last address that no trusted proxy has; what is no address was made up."""
    assert client(PROXY, *forwarded) == expected


def test_headers_are_read_to_a_bound() -> None:
    """What stands further away is not looked at, and nothing long is kept."""
    many = ", ".join(["198.51.100.1", *[f"10.0.1.{number}" for number in range(MAX_HOPS)]])
    assert client(PROXY, many) == "10.0.1.0"
    before = _shown.cache_info().currsize
    for number in range(100):
        client(PROXY, f"{number}" * 30_000)
    assert _shown.cache_info().currsize <= before + 1


def test_everybody_may_be_trusted() -> None:
    """As uvicorn's variable has it; then the client furthest away counts."""
    assert client("203.0.113.9", "198.51.100.1, 10.1.1.1", trusted="*") == "198.51.100.1"
    assert client("2001:db8::1", "198.51.100.1", trusted="*") == "198.51.100.1"


@pytest.mark.parametrize("peer", ["2001:db8:1:2::1", "2001:db8:1:2:aaaa:bbbb:cccc:dddd"])
def test_an_ipv6_network_is_one_client(peer: str) -> None:
    """It has more addresses than could be told apart."""
    assert client(peer, trusted="") == "2001:db8:1:2::/64"


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", "1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """With the name of the variable."""
    with pytest.raises(SettingsError, match="FORWARDED_ALLOW_IPS="):
        parse_proxies(f"127.0.0.1, {text}")
