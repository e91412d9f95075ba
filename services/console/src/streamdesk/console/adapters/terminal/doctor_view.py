"""The report of `streamdesk doctor`."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from streamdesk.console.adapters.terminal.tables import new_table
from streamdesk.console.domain.finding import Finding, Status

STYLES = {
    Status.OK: "green",
    Status.WARNING: "bold yellow",
    Status.FAILED: "bold red",
    Status.NOT_APPLICABLE: "dim",
}
SHORT = {Status.NOT_APPLICABLE: "n/a"}
ARROW = "→ "


def report(findings: Sequence[Finding], where: str, seconds: float) -> RenderableType:
    """All findings by area, what to do beneath each, and a count by status.

    Args:
        findings: in order.
        where: what was looked at, for the title.
        seconds: how long that took.
    """
    table = new_table()
    table.show_header = False
    table.padding = (0, 2, 0, 0)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for area, rows in groupby(findings, key=lambda finding: finding.area):
        _add_area(table.add_row, area, list(rows))
    return Group(Text(where, style="bold"), table, _sum(findings, seconds))


def _add_area(add: object, area: str, rows: Sequence[Finding]) -> None:
    assert callable(add)  # noqa: S101 - rich's own method
    if len({(row.status, row.found) for row in rows}) == 1 and len(rows) > 1:
        add(Text(area, style="bold"), _status(rows[0].status), _words(rows[0]))
        return
    add(Text(area, style="bold"), "", "")
    for row in rows:
        add(f"  {row.check.partition('.')[2]}", _status(row.status), _words(row))


def _status(status: Status) -> Text:
    return Text(SHORT.get(status, status.value), style=STYLES[status])


def _words(row: Finding) -> Text:
    dim = "dim" if row.status is Status.NOT_APPLICABLE else ""
    text = Text(row.found, style=dim)
    if row.advice:
        advice = row.advice.replace("\n", f"\n{ARROW}")
        text.append(f"\n{ARROW}{advice}", style="cyan")
    return text


def _sum(findings: Sequence[Finding], seconds: float) -> Text:
    counts = Counter(finding.status for finding in findings)
    present = [(counts[status], status) for status in Status if counts[status]]
    text = Text()
    for number, (count, status) in enumerate(present):
        text.append(", " if number else "")
        text.append(f"{count} {status.value}", style=STYLES[status])
    return text.append(f"  ({seconds:.1f} s)")
