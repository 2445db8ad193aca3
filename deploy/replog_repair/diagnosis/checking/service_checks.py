"""Verdicts about the query service and the settings of this process. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from replog.settings import variable
from replog_repair.diagnosis.checking.checks import Area
from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog_repair.diagnosis.checking.checks import Check
    from replog_repair.diagnosis.observations import ApiObservation, Observations

API, SETTINGS = Area("api"), Area("settings")
#: Seconds by which clocks may differ: the header Date has whole seconds.
CLOCK_LIMIT_S = 3.0


def api_checks(observed: Observations) -> Iterator[Check]:
    """All checks of the query service."""
    api = observed.api
    if isinstance(api, Unknown):
        yield API.failed("ready", api.message, f"start it, or set {variable('api_url')} to its address")
        return
    yield _ready_check(api)
    yield _version_check(api, observed.version)
    if api.clock_ahead_s is not None:
        yield _clock_check(api.clock_ahead_s)


def _ready_check(api: ApiObservation) -> Check:
    if api.ready_status == HTTPStatus.OK:
        return API.passed("ready", f"{api.url} is ready")
    found = f"{api.url}/readyz answers {api.ready_status}: {api.ready_text}"
    if api.ready_status == HTTPStatus.SERVICE_UNAVAILABLE:
        return API.failed("ready", found, "see docs/troubleshooting.md, /readyz answers 503")
    return API.failed("ready", found, f"set {variable('api_url')} to the address of a query service")


def _version_check(api: ApiObservation, own: str) -> Check:
    if isinstance(api.version, Unknown):
        return API.warned("version", api.version.message, f"check that {variable('api_url')} is a query service")
    if api.version != own:
        advice = "upgrade one of them; versions may differ for as long as the changelog names no new layout"
        return API.warned("version", f"it runs replog {api.version}, this command is {own}", advice)
    return API.passed("version", f"replog {api.version}")


def _clock_check(ahead_s: float) -> Check:
    found = f"its clock differs from this machine's by {ahead_s:+.0f} s"
    if abs(ahead_s) > CLOCK_LIMIT_S:
        return API.warned("clock", found, "one of the clocks is wrong: look at NTP")
    return API.passed("clock", found)


def settings_checks(observed: Observations) -> Iterator[Check]:
    """All checks of the environment and the ``.env`` file. Wrong values have ended the command before."""
    for notice in observed.notices:
        if notice.action == "setting_ignored":
            found = f"{notice.variable}={notice.detail} is the address of a Kubernetes Service, and is ignored"
            yield SETTINGS.warned(notice.variable, found, "set enableServiceLinks: false in the pod")
        else:
            advice = f"did you mean {notice.detail}?" if notice.detail else "remove it"
            yield SETTINGS.warned(notice.variable, f"{notice.variable} is no setting", advice)
    if not observed.notices:
        yield SETTINGS.passed("names", "every REPLOG_ variable is a setting")
