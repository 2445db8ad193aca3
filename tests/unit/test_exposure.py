"""The query service answers no strangers unless somebody said so."""

from __future__ import annotations

from typing import Any

import pytest

from replog.errors import SettingsError
from replog.settings import ApiSettings, load
from replog_api.main import check_exposure


def check(**settings: Any) -> None:
    """Check the exposure that ``settings`` make."""
    check_exposure(load(ApiSettings, **settings))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_needs_no_authentication(host: str) -> None:
    """Whatever its spelling."""
    check(api_host=host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "fe80::1", "replog.example", "127.0.0.1.example"]
)
def test_beyond_loopback_is_refused(host: str) -> None:
    """In one line that names the variable, its value and what is allowed."""
    with pytest.raises(SettingsError) as refused:
        check(api_host=host)
    message = str(refused.value)
    assert message.startswith(f"REPLOG_API_HOST={host} ")
    assert "allowed: a loopback address, or REPLOG_API_INSECURE=1 or REPLOG_API_TOKENS" in message
    assert "\n" not in message


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "replog.example"])
def test_beyond_loopback_can_be_meant(host: str) -> None:
    """By one explicit setting."""
    check(api_host=host, api_insecure=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "replog.example"])
def test_beyond_loopback_is_open_to_holders_of_a_token(host: str) -> None:
    """Strangers get no answer there."""
    check(api_host=host, api_tokens=f"grafana:{'0' * 64}")
