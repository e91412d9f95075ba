"""How the filter's view of an article looks: each rule, which one decided, and the words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from streamdesk.console.adapters.terminal.news_view import mood
from streamdesk.contracts.events import NewsFetched

PASSED, FAILED, NOT_ASKED = ("✓", "green"), ("✗", "red"), ("·", "dim")
BAR_WIDTH = 20
INDENT = (0, 0, 0, 2)
WEIGHTED = re.compile(r"(.+) ([+-]\d+(?:\.\d+)?)")  # beats estimates +2.9


def print_why(
    console: Console, why: Mapping[str, Any], article: NewsFetched | None, *, is_described: bool
) -> None:
    """All that is known of why an article passes, or does not.

    Args:
        console: where to.
        why: what the filter's process said.
        article: the one that was fetched under this title, if that was judged.
        is_described: whether anything but the title was judged.
    """
    mark, style = PASSED if why["passed"] else FAILED
    verdict = "passes" if why["passed"] else f"is dropped, {why['outcome']}"
    console.print(Text(f"{mark} {verdict}", style=f"bold {style}"))
    judged = Text(_judged(article, is_described=is_described), style="dim")
    for text in (Text(why["title"], style="bold"), Text(why["reason"]), judged):
        console.print(Padding(text, INDENT))
    console.print()
    console.print(_rules(why["rules"]))
    console.print()
    found = [match for match in map(WEIGHTED.fullmatch, why["words"]) if match]
    end = ", from" if found else ": it knows none of these words"
    console.print(
        Text.assemble("  sentiment ", mood(why["sentiment"]), f" by {why['scorer']}{end}")
    )
    if found:
        console.print(_words(found))


def _judged(article: NewsFetched | None, *, is_described: bool) -> str:
    if article is not None:
        at = article.fetched_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return f"as it was when it was fetched from {article.source}, {at}"
    if is_described:
        return "as you describe it"
    return (
        "the title alone: nothing of this title was fetched here; --ticker, --content describe it"
    )


def _rules(rules: Sequence[Mapping[str, Any]]) -> Table:
    """The rules in their order; the first that fails decides, else the last."""
    failed = [number for number, rule in enumerate(rules) if not rule["passed"]]
    decisive = failed[0] if failed else len(rules) - 1
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=True)
    grid.add_column(width=3, justify="right")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for number, rule in enumerate(rules):
        mark, style = NOT_ASKED if not rule["asked"] else PASSED if rule["passed"] else FAILED
        bold = "bold" if number == decisive else "dim" if not rule["asked"] else ""
        because = Text(rule["because"], style=bold)
        if number == decisive:
            because.append("  ← decides", style=f"bold {style}")
        grid.add_row(Text(mark, style=style), Text(rule["rule"], style=bold), because)
    return grid


def _words(found: Sequence[re.Match[str]]) -> Table:
    """Each word with its weight, and a bar as long as that."""
    top = max(abs(float(match[2])) for match in found) or 1.0
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=True)
    grid.add_column(width=2)
    grid.add_column(overflow="fold")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    for match in found:
        weight = float(match[2])
        style = "green" if weight > 0 else "red"
        bar = "█" * max(1, round(abs(weight) / top * BAR_WIDTH))
        grid.add_row("", Text(match[1]), Text(match[2], style=style), Text(bar, style=style))
    return grid
