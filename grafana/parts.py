"""The building blocks of all dashboards: panels, rows, variables and links, in one style.

A query has `$SEL` in place of its label matchers: namespace and job, as chosen at the top of the
dashboard. Dashboards built here satisfy the rules of Grafana's own dashboard linter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

TAG = "streamdesk"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
SELECTOR = 'namespace=~"$namespace", job=~"$job"'
HEIGHT = 8
NUMBER_HEIGHT = 4

Kind = Literal["lines", "number"]


@dataclass(frozen=True)
class Query:
    """One query of a panel.

    Args:
        expr: PromQL with `$SEL` for the matchers.
        legend: name of a series, with `{{label}}`.
    """

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Args:
        title: what it shows, in a few words.
        about: what to read from it, and when to worry.
        unit: of Grafana's names, as in `s`, `short`, `reqps`, `percentunit`.
        queries: what it draws.
        kind: lines over time, or the current value as a number.
        width: of 24 columns.
        bad_above: value from which it is red; below, it is green.
        bad_below: value below which it is red; from it on, it is green.
        stacked: whether the lines add up to a whole.
    """

    title: str
    about: str
    unit: str
    queries: Sequence[Query]
    kind: Kind = "lines"
    width: int = 8
    bad_above: float | None = None
    bad_below: float | None = None
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """One dashboard.

    Args:
        uid: never changes: links contain it.
        title: after "Streamdesk / ".
        about: one sentence.
        jobs: regular expression of the jobs that can be selected.
        rows: what it shows.
    """

    uid: str
    title: str
    about: str
    jobs: str
    rows: Sequence[Row]


def built(board: Board) -> models.Dashboard:
    """The dashboard as a Grafana model."""
    builder = (
        dashboards.Dashboard(f"Streamdesk / {board.title}")
        .uid(board.uid)
        .description(board.about)
        .tags([TAG])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboards.DashboardLink("Streamdesk")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=True)
            .keep_time(keep_time=True)
            .include_vars(include_vars=True)
        )
    )
    for variable in _variables(board):
        builder = builder.with_variable(variable)
    for row in board.rows:
        builder = builder.with_row(dashboards.Row(row.title))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel))
    return builder.build()


def _variables(
    board: Board,
) -> list[dashboards.DatasourceVariable | dashboards.QueryVariable]:
    return [
        dashboards.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _choice("namespace", "Namespace", f'label_values(up{{job=~"{board.jobs}"}}, namespace)'),
        _choice(
            "job",
            "Service",
            f'label_values(up{{namespace=~"$namespace", job=~"{board.jobs}"}}, job)',
        ),
    ]


def _choice(name: str, label: str, query: str) -> dashboards.QueryVariable:
    return (
        dashboards.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        # Not a list of all values: a Prometheus without namespaces has none.
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(panel: Panel) -> timeseries.Panel | stat.Panel:
    builder = _number() if panel.kind == "number" else _lines(panel)
    for at, query in enumerate(panel.queries):
        builder = builder.with_target(
            prometheus.Dataquery()
            .datasource(SOURCE)
            .ref_id(chr(ord("A") + at))
            .expr(" ".join(query.expr.split()).replace("$SEL", SELECTOR))
            .legend_format(query.legend or "__auto")
        )
    return (
        builder.title(panel.title)
        .description(panel.about)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(NUMBER_HEIGHT if panel.kind == "number" else HEIGHT)
        .thresholds(_thresholds(panel))
    )


def _lines(panel: Panel) -> timeseries.Panel:
    limits = panel.bad_above is not None or panel.bad_below is not None
    legend = (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
        .calcs(["lastNotNull", "max"])
    )
    builder = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(30 if panel.stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .legend(legend)
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if panel.stacked:
        builder = builder.stacking(
            common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
        )
    if limits:
        style = common_builders.GraphThresholdsStyleConfig()
        builder = builder.thresholds_style(style.mode(common.GraphTresholdsStyleMode.DASHED))
    return builder


def _number() -> stat.Panel:
    return (
        stat.Panel()
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("no data")
    )


def _thresholds(panel: Panel) -> dashboards.ThresholdsConfig:
    steps = [models.Threshold(value=None, color="green")]
    if panel.bad_above is not None:
        steps.append(models.Threshold(value=panel.bad_above, color="red"))
    if panel.bad_below is not None:
        steps = [
            models.Threshold(value=None, color="red"),
            models.Threshold(value=panel.bad_below, color="green"),
        ]
    return dashboards.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
