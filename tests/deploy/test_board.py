"""The Grafana board: it names metrics that exist, in expressions that Prometheus takes, and leads to the runbooks."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.metric_names import ALL_METRICS
from tests.support.tools import required

ROOT = Path(__file__).parents[2]
BOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/replog.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
#: Rows, in the order in which they are read.
ROWS = [
    "Overview", "Events", "Partitions", "Store", "Dead letters", "API", "Stale and retention", "Processes",
]  # fmt: skip
#: Every expression, by panel.
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]


def test_the_rows_are_there() -> None:
    assert [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"] == ROWS


def test_the_board_has_a_stable_id_and_asks_for_its_source() -> None:
    """So that links to it last, and it works with any Prometheus."""
    assert BOARD["uid"] == "replog"
    assert [one["type"] for one in BOARD["templating"]["list"]] == ["datasource", "textbox"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_panels_do_not_overlap() -> None:
    taken = [
        (x, y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_rates_adapt_to_the_scrape_interval() -> None:
    """A fixed window is too short for one Prometheus, and too long for another."""
    windows = {window for _, expression in EXPRESSIONS for window in re.findall(r"\[([^]]+)\]", expression)}
    assert windows == {"$__rate_interval", "1h"}


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_a_panel_names_metrics_that_exist(title: str, expression: str) -> None:
    named = set(re.findall(r"\breplog_[a-z_]+[a-z]", expression))
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in named} <= ALL_METRICS.keys()


def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, (_, expression) in enumerate(EXPRESSIONS)
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}), encoding="utf-8")
    promtool = required("promtool", "REPLOG_TEST_PROMETHEUS")
    subprocess.run([promtool, "check", "rules", str(path)], check=True, capture_output=True)


def test_links_lead_to_runbooks_that_exist() -> None:
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(encoding="utf-8"), re.MULTILINE)
    led = {link["url"] for panel in PANELS for link in panel.get("links", ())}
    assert led == {f"${{runbooks}}#{section.lower()}" for section in sections}
