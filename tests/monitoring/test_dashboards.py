"""The dashboards: that they are what the code says, and keep the rules of dashboard-linter."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.generate import FOLDER, documents, drifted
from tests.monitoring.rules import COMMON, EXPORTER, metrics_of, recorded
from tests.monitoring.test_rules import own_series, promtool

NAMES = sorted(documents())
COLUMNS = 24
# What Grafana puts in their place, for a parser.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$namespace": ".*", "$job": ".*"}
PROCESS = frozenset({"process_cpu_seconds_total", "process_resident_memory_bytes"})


def board(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return read


def panels(read: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in read["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def every_panel() -> list[Any]:
    return [
        pytest.param(panel, id=f"{name}: {panel['title']}")
        for name in NAMES
        for panel in panels(json.loads(documents()[name]))
    ]


def plain(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def test_the_files_are_what_the_boards_say() -> None:
    assert drifted() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_unique_linked_and_read_only(name: str) -> None:
    read = board(name)
    assert read["uid"] == "streamdesk-" + name.removesuffix(".json")
    assert read["title"].startswith("Streamdesk / ")
    assert read["description"]
    assert read["editable"] is False
    [link] = read["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["streamdesk"],
        True,
        True,
    )
    assert read["tags"] == ["streamdesk"]


def test_no_two_dashboards_have_one_uid() -> None:
    uids = [board(name)["uid"] for name in NAMES]
    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize("name", NAMES)
def test_data_source_namespace_and_job_are_chosen_at_the_top(name: str) -> None:
    source, namespace, job = board(name)["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    for variable in (namespace, job):
        assert variable["datasource"]["uid"] == "${datasource}"
        assert (variable["multi"], variable["includeAll"]) == (True, True)
        assert variable["allValue"] == ".*"
        assert variable["label"]


@pytest.mark.parametrize("panel", every_panel())
def test_a_panel_has_a_title_an_explanation_and_a_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("panel", every_panel())
def test_a_query_is_about_what_was_chosen_and_its_rates_fit_the_scrapes(
    panel: dict[str, Any],
) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        expression = target["expr"]
        assert target["datasource"]["uid"] == "${datasource}"
        selectors = re.findall(r"[a-z_:]+\{([^}]*)\}", expression)
        assert selectors
        for selector in selectors:
            assert 'namespace=~"$namespace"' in selector
            assert 'job=~"$job"' in selector
        windows = re.findall(r"\b(?:rate|irate)\([^\[]*\[([^\]]*)\]", expression)
        assert set(windows) <= {"$__rate_interval"}
        assert "$SEL" not in expression


@pytest.mark.parametrize("name", NAMES)
def test_every_series_of_a_dashboard_is_exposed_by_a_process(name: str) -> None:
    known = own_series() | EXPORTER | COMMON | PROCESS | recorded()
    for panel in panels(board(name)):
        for target in panel["targets"]:
            assert metrics_of(plain(target["expr"])) <= known, panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_prometheus_can_parse_every_query(name: str, tmp_path: Path) -> None:
    queries = [target["expr"] for panel in panels(board(name)) for target in panel["targets"]]
    rules = [{"record": f"q:{at}", "expr": plain(query)} for at, query in enumerate(queries)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    result = promtool("check", "rules", str(file))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_panels_lie_in_the_grid_and_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(board(name)):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
