"""A real Prometheus that scrapes processes of a test and evaluates the rules of `deploy/prometheus`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import yaml

from tests.support.services.plain_http import NO_TLS
from tests.support.services.process import OwnProcess, free_port, wait_until
from tests.support.tools import required

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.system import Process

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yaml"
VARIABLE = "REPLOG_TEST_PROMETHEUS"
JOBS = ("collector", "api")
START_S, ANSWER_S = 30.0, 10.0
#: How long an alert may take to fire or to recover, with scaled rules.
ALERT_S = 240.0
_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_WINDOW = re.compile(r"(\[|offset )(\d+)([smh])")
#: What makes a rate the number in a window, in seconds.
_PER_WINDOW = re.compile(r"(\* )(600)\b()")
#: Age of answers that counts as old, in seconds; with shortened rules. Answers without trouble are up to 3 s old.
_OLD, _SHORT_OLD = "> 120", "> 10"


def rules_of(shortened_by: int = 1) -> dict[str, Any]:
    """The rules; with all windows and delays divided by ``shortened_by``, and answers old after 10 s instead of 120."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))

    def shorter(found: re.Match[str]) -> str:
        before, number, unit = found.groups()
        seconds, rest = divmod(int(number) * _UNITS_S.get(unit, 1), shortened_by)
        assert not rest, f"{found[0]} is not a multiple of {shortened_by} s"
        return f"{before}{seconds}{'s' if unit else ''}"

    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule["expr"] = _WINDOW.sub(shorter, rule["expr"])
        if rule.get("alert") == "ReplogRebalancing":
            rule["expr"], found = _PER_WINDOW.subn(shorter, rule["expr"])
            assert found == 1, rule
        if rule.get("alert") == "ReplogAnswersOld" and shortened_by > 1:
            assert rule["expr"].endswith(_OLD), rule
            rule["expr"] = rule["expr"].replace(_OLD, _SHORT_OLD)
        if "for" in rule:
            rule["for"] = _WINDOW.sub(shorter, f"[{rule['for']}")[1:]
    return rules


class Prometheus(OwnProcess):
    """The server, which scrapes and evaluates every ``interval_s``; ``watch`` says what.

    Services in trouble take up to 2.4 s to export their metrics, so that a shorter interval loses these.
    """

    def __init__(self, folder: Path, rules: dict[str, Any], *, interval_s: int = 3) -> None:
        folder.mkdir()
        super().__init__(folder / "prometheus.log")
        self._folder = folder
        self.interval_s = interval_s
        self._url = f"http://127.0.0.1:{free_port()}"
        self._targets: dict[str, list[str]] = {job: [] for job in JOBS}
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        configuration = {
            "global": {f"{name}_interval": f"{interval_s}s" for name in ("scrape", "evaluation")}
            | {"scrape_timeout": f"{interval_s}s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {"job_name": job, "file_sd_configs": [{"files": [f"{job}.json"], "refresh_interval": "1s"}]}
                for job in JOBS
            ],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        self._command = [
            required("prometheus", VARIABLE),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self._url.removeprefix('http://')}",
            f"--query.lookback-delta={4 * interval_s}s",
            "--log.level=warn",
        ]

    def __enter__(self) -> Self:
        for job in JOBS:
            self._write(job)
        self._process.start(self._command, self._ready, START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def watch(self, job: str, *processes: Process) -> None:
        """Scrape ``processes``, which are started, as those of ``job``, and no others; return once that is done.

        What a process counts before its first scrape is no increase.
        """
        self._targets[job] = [process.url.removeprefix("http://") for process in processes]
        self._write(job)
        instances = "|".join(map(re.escape, self._targets[job])).replace("\\", "\\\\")
        scraped = f'up{{job="{job}",instance=~"{instances}"}} == 1'
        assert wait_until(lambda: len(self.query(scraped)) == len(processes), ALERT_S), self._targets

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        return self._data("query", query=expression)

    def query_range(self, expression: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        """The series of an expression from ``start_s`` to ``end_s`` since 1970, each second."""
        return self._data("query_range", query=expression, start=start_s, end=end_s, step=1)

    def firing(self) -> set[str]:
        """The alerts that fire now."""
        return _names(self.query('ALERTS{alertstate="firing"}'))

    def ever(self, state: str) -> set[str]:
        """The alerts that were pending or firing at any time in the last hour."""
        return _names(self.query(f'max_over_time(ALERTS{{alertstate="{state}"}}[1h])'))

    def fires(self, *alerts: str) -> None:
        """Return once each of ``alerts`` fires, or has since the call began; ``name window`` is one with a window."""
        missing = set(alerts)

        def seen() -> bool:
            missing.difference_update(self.firing())
            return not missing

        assert wait_until(seen, ALERT_S), f"never fired: {missing}; firing: {self.firing()}"

    def recovers(self, *alerts: str) -> None:
        """Return once none of ``alerts`` fires."""
        assert wait_until(lambda: self.firing().isdisjoint(alerts), ALERT_S), f"still firing: {self.firing()}"

    def _write(self, job: str) -> None:
        # Replaced at once: half a file would be read as one.
        path = self._folder / f"{job}.json"
        path.with_suffix(".new").write_text(json.dumps([{"targets": self._targets[job]}]), encoding="utf-8")
        path.with_suffix(".new").replace(path)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self._url}/-/ready", timeout=ANSWER_S, verify=NO_TLS).is_success
        except httpx.TransportError:
            return False

    def _data(self, kind: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self._url}/api/v1/{kind}", params=parameters, timeout=ANSWER_S, verify=NO_TLS).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def _names(series: Iterable[dict[str, Any]]) -> set[str]:
    metrics = [one["metric"] for one in series]
    return {f"{metric['alertname']} {metric.get('window', '')}".strip() for metric in metrics}
