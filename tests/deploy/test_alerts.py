"""The alerts: each fires, stays quiet and recovers, as Prometheus's own tool evaluates them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support.tools import required

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yaml"
COPY = ROOT / "deploy/kubernetes/components/monitoring/prometheusrule.yaml"
RUNBOOKS = ROOT / "docs/runbooks.md"


class Case(NamedTuple):
    """Series, a value a minute, and the minutes at which the alert fires and at which it does not."""

    name: str
    alert: str
    series: dict[str, str]
    fires_at: list[int]
    quiet_at: list[int]


CASES = [Case(**case) for case in yaml.safe_load(Path(__file__).with_name("alert_cases.yaml").read_text("utf-8"))]


@pytest.fixture(scope="module")
def promtool() -> str:
    return required("promtool", "REPLOG_TEST_PROMETHEUS")


def alerts() -> list[dict[str, Any]]:
    """The alerts of the rules."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def fired_at(promtool: str, folder: Path, case: Case, minutes: list[int]) -> list[int]:
    """Those of ``minutes`` at which the alert fires: the tool is told to expect none, and names where it finds one."""
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    at = [{"eval_time": f"{minute}m", "alertname": case.alert, "exp_alerts": []} for minute in minutes]
    test = {"rule_files": [str(RULES)], "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": at}]}
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(test), encoding="utf-8")
    ended = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    told = ended.stdout + ended.stderr
    found = re.findall(rf"alertname: ?{case.alert}, time: ?(\S+),", told)
    assert found or "SUCCESS" in told, told
    return sorted({minute for minute in minutes if _duration(minute) in found})


def _duration(minute: int) -> str:
    hours, minutes = divmod(minute, 60)
    return f"{hours}h{minutes}m" if hours and minutes else f"{hours}h" if hours else f"{minutes}m"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_alert_fires_is_quiet_and_recovers(promtool: str, tmp_path: Path, case: Case) -> None:
    assert fired_at(promtool, tmp_path, case, case.fires_at + case.quiet_at) == sorted(case.fires_at)


def test_each_alert_is_seen_to_fire() -> None:
    assert {case.alert for case in CASES if case.fires_at} == {alert["alert"] for alert in alerts()}


def test_each_alert_has_a_section_in_the_runbooks() -> None:
    """With what it means, what users notice, how to find the cause and what to do; and no section is about none."""
    parts = RUNBOOKS.read_text(encoding="utf-8").split("\n## ")[1:]
    sections = {part.partition("\n")[0]: part for part in parts}
    assert sections.keys() == {alert["alert"] for alert in alerts()}
    for text in sections.values():
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_what_where_and_how_bad(alert: dict[str, Any]) -> None:
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{alert['alert'].lower()}"
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}


def test_the_operator_of_prometheus_gets_the_same_rules() -> None:
    """`make rules` writes the copy."""
    copied = yaml.safe_load(COPY.read_text(encoding="utf-8"))["spec"]
    assert copied == yaml.safe_load(RULES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["rules", "config"])
def test_prometheus_takes_the_files(promtool: str, kind: str) -> None:
    path = {"rules": RULES, "config": RULES.with_name("prometheus.yaml")}[kind]
    subprocess.run([promtool, "check", kind, str(path)], check=True, capture_output=True)
