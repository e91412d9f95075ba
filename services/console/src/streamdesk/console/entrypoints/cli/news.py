"""`streamdesk news`: fetches, follows and explains news."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.service_command import run_service_command
from streamdesk.console.adapters.terminal import news_view, why_view
from streamdesk.console.adapters.terminal.output import print_json, print_message, stdout
from streamdesk.console.application.find_article import as_options, find_article
from streamdesk.console.domain.moments import EXPECTED_OR_ID, moment_or_id
from streamdesk.console.domain.up_options import DATA, NEWS_SAMPLE, NewsSourceName
from streamdesk.console.entrypoints.cli.lazy import new_app
from streamdesk.console.entrypoints.cli.options import (
    DataOption,
    JsonOption,
    UrlOption,
    recording_of,
)
from streamdesk.console.errors import ConsoleError, NoDeskError
from streamdesk.contracts.events import NewsFetched

FETCHER, FILTER = "streamdesk.news_fetcher", "streamdesk.news_filter"
RAW, FILTERED = "news_raw", "news_filtered"
NOW = "$"

app = new_app("Fetch news once, follow it, and explain why an article passes.")


@app.callback()
def news() -> None:
    """Fetch news once, follow it, and explain why an article passes."""


SourceOption = Annotated[
    NewsSourceName | None,
    typer.Option(
        case_sensitive=False,
        help="Where from; eodhd needs EODHD_API_KEY. Without it NEWS_SOURCE.",
        show_default="simulated",
    ),
]
RecordingOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Recorded news: a file or folder of JSON lines, or `sample`.",
        show_default=NEWS_SAMPLE,
    ),
]
TickersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ticker",
        help="Ask about this instrument; can be repeated. For eodhd: the other sources "
        "bring what they have.",
        show_default="NEWS_TICKERS",
    ),
]


@app.command("fetch")
def fetch(
    source: SourceOption = None,
    recording: RecordingOption = None,
    tickers: TickersOption = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> int:
    """Fetch news once, now, and publish what is new; no article is published twice.

    One fetcher fetches at any time: while a desk's own one does, this says so and fetches nothing.
    """
    environment = {"REDIS_URL": desk_bus.find_redis_url(url, data)}
    environment |= _source(source, recording_of(source, recording, "--recording"))
    if tickers:
        environment |= {"NEWS_TICKERS": ",".join(tickers), "NEWS_TICKERS_FILE": ""}
    console = stdout()

    def show(line: dict[str, Any]) -> None:
        if as_json:
            print_json(line)
        elif not _is_summary(line):
            news_view.print_fetched(console, line)

    ended = run_service_command([FETCHER, "fetch"], environment, show)
    if not _is_summary(ended.last):
        raise ended.error("the fetcher")
    if not as_json:
        _show_round(console, ended.last)
    return ended.code


def _show_round(console: Console, summary: dict[str, Any]) -> None:
    # A round that could not begin has an error and no figures worth a table.
    if not summary["fetched"] and not summary["failed"] and "error" in summary:
        raise ConsoleError(f"nothing was fetched: {summary['error']}")
    news_view.print_round(console, summary)


def _source(source: NewsSourceName | None, recording: str | None) -> dict[str, str]:
    if recording is not None:
        return {"NEWS_SOURCE": NewsSourceName.RECORDED.value, "NEWS_RECORDING": recording}
    return {"NEWS_SOURCE": source.value} if source is not None else {}


def _is_summary(line: dict[str, Any]) -> bool:
    return "fetched" in line and "failed" in line


@app.command("tail")
def tail(
    raw: Annotated[
        bool, typer.Option("--raw", help="Every article fetched, not only those that passed.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help=f"From when on: {EXPECTED_OR_ID}; now without.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="End after so many.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Print news as it comes, until Ctrl-C: when, about what, its sentiment, and why it passed."""
    chosen = desk_bus.topic_named(RAW if raw else FILTERED)
    start = NOW if since is None else _entry_id(since)
    console = stdout()

    async def follow() -> None:
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            if not await bus.ping():
                raise ConsoleError("Redis does not answer; is the server up?")
            count = 0
            async for message in bus.tail([chosen], since=start):
                if as_json:
                    print_message(message, as_json=True)
                else:
                    news_view.print_article(console, message)
                count += 1
                if count == limit:
                    return

    asyncio.run(follow())


def _entry_id(since: str) -> str:
    """The point in the stream that a person means."""
    point = moment_or_id("--since", since, datetime.now(UTC))
    if isinstance(point, str):
        return point
    return str(max(0, round(point.timestamp() * 1000)))


ContentOption = Annotated[str | None, typer.Option(help="The text below it.", show_default=False)]
AboutOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ticker",
        help="An instrument that it is about; can be repeated. Without one that is not asked.",
        show_default=False,
    ),
]
AgeOption = Annotated[float | None, typer.Option(help="Hours since it appeared.", show_default="0")]
PolarityOption = Annotated[
    float | None, typer.Option(help="The source's own sentiment.", show_default=False)
]


@app.command("why")
def why(
    title: Annotated[str, typer.Argument(help="The headline.", show_default=False)],
    content: ContentOption = None,
    tickers: AboutOption = None,
    age_hours: AgeOption = None,
    polarity: PolarityOption = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Show what the filter makes of an article: which rule decides, and which words.

    Without options about the article, one of this title that was fetched is judged as it was then.
    """
    given = [f"--ticker={ticker}" for ticker in tickers or ()]
    for name, value in (("content", content), ("age-hours", age_hours), ("polarity", polarity)):
        given += [] if value is None else [f"--{name}={value}"]
    article = None if given else asyncio.run(_fetched(title, url, data))
    if article is not None:
        title, given = article.title, as_options(article)
    ended = run_service_command([FILTER, "why", *given, "--json", "--", title], {}, lambda _: None)
    if "rules" not in ended.last:
        raise ended.error("the filter")
    if as_json:
        print_json(ended.last)
    else:
        why_view.print_why(stdout(), ended.last, article, is_described=bool(given))


async def _fetched(title: str, url: str | None, data: Path) -> NewsFetched | None:
    """The article of this title that was fetched; none where there is no server to ask."""
    try:
        server = desk_bus.find_redis_url(url, data)
    except NoDeskError:
        return None
    async with desk_bus.connect(server) as bus:
        return (
            await find_article(bus, desk_bus.topic_named(RAW), title) if await bus.ping() else None
        )
