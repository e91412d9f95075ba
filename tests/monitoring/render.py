"""A dashboard as a page, over Prometheus alone: to look at where there is no Grafana.

`python -m tests.monitoring.render http://127.0.0.1:9090 FOLDER` writes a page for each dashboard.
It draws what Grafana would: the same grid, queries, units and limits; not the same look.
"""

import argparse
import html
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from grafana.generate import documents
from tests.monitoring.test_dashboards import panels, plain

Ask = Callable[..., Any]
RANGE_SECONDS = 300
POINTS = 100
CELL_WIDTH, CELL_HEIGHT = 64, 34
COLOURS = ("#2f9e63", "#3b82c4", "#d97b2b", "#a855b8", "#c7453b", "#8a8f2a", "#4ba7a0", "#8b6b4f")
STYLE = """
body { background: #14161a; color: #d5d8de; font: 12px sans-serif; margin: 12px; }
h1 { font-size: 16px; } .grid { position: relative; }
.panel { position: absolute; box-sizing: border-box; padding: 6px; background: #1c1f25;
  border: 1px solid #2a2e36; overflow: hidden; }
.panel b { display: block; white-space: nowrap; } .number { font-size: 26px; margin-top: 12px; }
.legend { font-size: 10px; line-height: 12px; } .row { font-weight: bold; background: none;
  border: none; } .none { color: #c7453b; }
"""
SCALES = {"s": " s", "percentunit": " %", "currencyUSD": " $", "bytes": " MB", "ops": "/s"}

Series = tuple[str, list[tuple[float, float]]]


def asker(url: str) -> Ask:
    """Asks a Prometheus's HTTP API."""

    def ask(path: str, **parameters: str) -> Any:
        address = f"{url}/api/v1/{path}?{urlencode(parameters)}"
        with urlopen(address, timeout=60) as answer:  # noqa: S310 - our own server
            return json.load(answer)["data"]

    return ask


def page(text: str, ask: Ask, now: float) -> str:
    """The page of one dashboard's JSON."""
    board = json.loads(text)
    rows = [panel for panel in board["panels"] if panel["type"] == "row"]
    parts = [_placed(row, html.escape(row["title"]), "row") for row in rows]
    parts += [_placed(panel, _content(panel, ask, now), "") for panel in panels(board)]
    return (
        f"<!doctype html><meta charset=utf-8><title>{board['title']}</title><style>{STYLE}</style>"
        f"<h1>{board['title']}</h1><div class=grid>{''.join(parts)}</div>"
    )


def _placed(panel: dict[str, Any], content: str, kind: str) -> str:
    at = panel["gridPos"]
    place = (
        f"left:{at['x'] * CELL_WIDTH}px;top:{at['y'] * CELL_HEIGHT}px;"
        f"width:{at['w'] * CELL_WIDTH}px;height:{at['h'] * CELL_HEIGHT}px"
    )
    return f'<div class="panel {kind}" style="{place}">{content}</div>'


def _content(panel: dict[str, Any], ask: Ask, now: float) -> str:
    found = [series for target in panel["targets"] for series in series_of(target, ask, now)]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    title = f"<b>{html.escape(panel['title'])}</b>"
    if not found:
        return f"{title}<p class=none>no data</p>"
    if panel["type"] == "stat":
        shown = ", ".join(_shown(points[-1][1], unit) for _, points in found)
        return f"{title}<div class=number>{shown}</div>"
    names = "".join(
        f'<span style="color:{COLOURS[at % len(COLOURS)]}">■</span> {html.escape(name)} '
        f"{_shown(points[-1][1], unit)}&nbsp;&nbsp; "
        for at, (name, points) in enumerate(found[:12])
    )
    return f"{title}{_drawn(found, panel['gridPos'])}<div class=legend>{names}</div>"


def series_of(target: dict[str, Any], ask: Ask, now: float) -> Iterator[Series]:
    """What a query gives over the last minutes, by legend."""
    step = RANGE_SECONDS / POINTS
    result = ask(
        "query_range",
        query=plain(target["expr"]),
        start=f"{now - RANGE_SECONDS:.3f}",
        end=f"{now:.3f}",
        step=f"{step:g}",
    )["result"]
    for row in result:
        name = target["legendFormat"].replace("__auto", "")
        for label, value in row["metric"].items():
            name = name.replace("{{" + label + "}}", value)
        points = [(at, float(value)) for at, value in row["values"] if value not in {"NaN", "+Inf"}]
        if points:
            yield name, points


def _drawn(found: list[Series], at: dict[str, int]) -> str:
    width, height = at["w"] * CELL_WIDTH - 16, at["h"] * CELL_HEIGHT - 80
    values = [value for _, points in found for _, value in points]
    low, high = min(0.0, *values), max(0.0, *values)
    begin = min(points[0][0] for _, points in found)
    end = max(*(points[-1][0] for _, points in found), begin + 1)
    lines = []
    for number, (_, points) in enumerate(found):
        spots = " ".join(
            f"{(when - begin) / (end - begin) * width:.1f},"
            f"{height - (value - low) / ((high - low) or 1) * height:.1f}"
            for when, value in points
        )
        colour = COLOURS[number % len(COLOURS)]
        lines.append(f'<polyline fill=none stroke="{colour}" points="{spots}"/>')
    return f'<svg width={width} height={height} style="margin:4px 0">{"".join(lines)}</svg>'


def _shown(value: float, unit: str) -> str:
    scaled = {"percentunit": value * 100, "bytes": value / 1e6}.get(unit, value)
    return f"{scaled:,.4g}{SCALES.get(unit, '')}"


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(prog="python -m tests.monitoring.render")
    parser.add_argument("prometheus", help="as in http://127.0.0.1:9090")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    ask = asker(options.prometheus)
    for name, text in documents().items():
        written = page(text, ask, time.time())
        (options.folder / name.replace(".json", ".html")).write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
