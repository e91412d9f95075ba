"""How news looks in a terminal: articles as they come, and what a round of fetching brought."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from streamdesk.bus import Message
from streamdesk.console.adapters.terminal.tables import NONE, new_table
from streamdesk.contracts.events import NewsFetched, NewsFiltered

TIME_WIDTH, SYMBOL_WIDTH, SENTIMENT_WIDTH = 11, 11, 5
WEB = ("http://", "https://")
ADVICE = {
    "key-refused": "the provider refuses EODHD_API_KEY: set another",
    "quota-exhausted": "the day's calls are used up; there are new ones at 00:00 GMT",
    "rate-limited": "too many requests in a minute; the next round asks again",
    "unavailable": "the provider does not answer; the next round asks again",
    "unreadable": "the provider answered something else than articles",
    "circuit-open": "the provider failed several times running and is left alone for a while",
    "bad-request": "the provider does not know this instrument, or not this question",
}


def mood(value: float | None) -> Text:
    """A sentiment from -1 to 1 with its sign, green or red."""
    if value is None:
        return Text(NONE, style="dim")
    return Text(f"{value:+.2f}", style="green" if value > 0 else "red" if value < 0 else "")


def print_article(console: Console, message: Message[NewsFetched]) -> None:
    """An article of the bus: when, about what, how good, its headline, and why it passed."""
    article = message.event
    text: list[RenderableType] = [headline(article.title, article.link)]
    if isinstance(article, NewsFiltered):
        text += [Text(article.reason, style="dim")] if article.reason else []
        value: float | None = article.sentiment
    else:
        text.append(Text(f"{article.source}, {_time(article.published_at)}", style="dim"))
        value = article.polarity
    print_line(console, message.published_at, article.symbols, mood(value), Group(*text))


def print_line(
    console: Console, at: datetime, symbols: Sequence[str], value: Text, text: RenderableType
) -> None:
    """A line of the list; its columns have the same width on every line."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=TIME_WIDTH)
    grid.add_column(width=SYMBOL_WIDTH, no_wrap=True)
    grid.add_column(width=SENTIMENT_WIDTH, justify="right")
    grid.add_column(ratio=1, overflow="fold")
    first, *others = symbols or (NONE,)
    names = Text(first, style="bold").append(f" +{len(others)}" if others else "", style="dim")
    grid.add_row(Text(_time(at), style="dim"), names, value, text)
    console.print(grid)


def headline(title: str, link: str) -> Text:
    """A title; where the terminal can, a click opens it."""
    return Text(title, style=Style(link=link if link.startswith(WEB) else None))


def _time(at: datetime) -> str:
    here = at.astimezone()
    today = here.date() == datetime.now().astimezone().date()
    return here.strftime("%H:%M:%S" if today else "%m-%d %H:%M")


def print_fetched(console: Console, line: Mapping[str, Any]) -> None:
    """An article that a round has published."""
    at = datetime.fromisoformat(line["published_at"])
    symbols = [line["ticker"]] if line.get("ticker") else list(line.get("symbols", ()))
    text = headline(str(line["title"]), str(line.get("link", "")))
    print_line(console, at, symbols, mood(line.get("polarity")), text)


def print_round(console: Console, summary: Mapping[str, Any]) -> None:
    """What a round came to."""
    failed: Mapping[str, str] = summary["failed"]
    invalid: Mapping[str, int] = summary["invalid"]
    table = new_table()
    cells = {
        "fetched": Text(f"{summary['fetched']:,}"),
        "published": Text(f"{summary['published']:,}", style="bold"),
        "known before": Text(f"{summary['duplicates']:,}"),
        "unusable": _figure(sum(invalid.values()), "yellow"),
        "failed": _figure(len(failed), "bold red"),
        "calls": _optional(summary.get("calls")),
        "calls left today": _optional(summary.get("calls_left")),
    }
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    console.print(table)
    for reason, count in invalid.items():
        console.print(Text.assemble((f"unusable  {count:,}: {reason}", "yellow")))
    for reason in dict.fromkeys(failed.values()):
        tickers = ", ".join(ticker for ticker, why in failed.items() if why == reason)
        said = f"{tickers}: {ADVICE[reason]}" if reason in ADVICE else tickers
        console.print(Text.assemble((f"{reason}  ", "bold red"), said))
    if summary.get("error"):
        console.print(Text(str(summary["error"]), style="red"))


def _figure(count: int, style: str) -> Text:
    return Text(f"{count:,}", style=style if count else "")


def _optional(count: int | None) -> Text:
    return Text(NONE if count is None else f"{count:,}")
