"""Wires the news filter."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts.events import NewsFiltered
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from streamdesk.news_filter.adapters.rule_file.parser import RuleFile, listed
from streamdesk.news_filter.adapters.sentiment_cache import SentimentCache
from streamdesk.news_filter.adapters.sentiment_scorer import SentimentScorer
from streamdesk.news_filter.adapters.vader.lexicon import finance_overlay
from streamdesk.news_filter.adapters.vader.scorer import VaderScorer
from streamdesk.news_filter.application.filter_articles import NewsFilter
from streamdesk.news_filter.application.reload_rules import CurrentRules
from streamdesk.news_filter.application.score_articles import Scoring
from streamdesk.news_filter.config import ScorerName, Settings
from streamdesk.news_filter.domain.matching import Keywords, PatternError
from streamdesk.news_filter.domain.rules import FilterRules
from streamdesk.news_filter.entrypoints.bus import RawArticleConsumer
from streamdesk.news_filter.errors import FinbertModelError, RuleFileError
from streamdesk.runtime import (
    BadSettingError,
    Drain,
    Service,
    ServiceTask,
    TickerFileError,
    load_tickers,
)

GROUP = "news-filter-group"
BATCH = 200
SLOW_BATCH = 16  # a model takes tens of milliseconds an article, and the last one waits for all
CONCURRENCY = 2  # one batch is computed while another waits for the server


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def set_scorer(settings: Settings) -> SentimentScorer:
    """The scorer that is set.

    Raises:
        BadSettingError: it cannot be used.
    """
    try:
        return scorer_of(settings.sentiment_scorer, settings.finbert_folder)
    except FinbertModelError as error:
        expected = f"the folder of a FinBERT model ({error})"
        raise BadSettingError("FINBERT_FOLDER", settings.finbert_folder, expected) from error


def scorer_of(scorer: ScorerName, finbert_folder: Path | None = None) -> SentimentScorer:
    """The scorer that is set.

    Args:
        scorer: which one.
        finbert_folder: where the FinBERT model is; the other scorer does not look at it.

    Raises:
        FinbertModelError: there is no model that can be used, or nothing to run it with.
        LexiconError: the finance lexicon cannot be read.
    """
    if scorer is ScorerName.VADER:
        return VaderScorer(finance_overlay())
    if finbert_folder is None:
        raise FinbertModelError("no folder is set; FINBERT_FOLDER names the one with model.onnx")
    try:
        # What it needs is not in the default image.
        from streamdesk.news_filter.adapters.finbert.scorer import FinbertScorer  # noqa: PLC0415
    except ImportError as error:
        raise FinbertModelError(
            f"{error.name} is not installed; the image news-filter-finbert has it, or "
            "`pip install streamdesk-news-filter[finbert]`"
        ) from error
    return FinbertScorer(finbert_folder)


def tickers_of(settings: Settings) -> frozenset[str] | None:
    """The symbols that pass by the settings; None for any.

    Raises:
        BadSettingError: NEWS_TICKERS_FILE is set and cannot be used.
    """
    path = settings.news_tickers_file
    if path is None:
        return listed(settings.news_tickers)
    try:
        return frozenset(load_tickers(path))
    except TickerFileError as error:
        expected = f"a YAML list of symbols, alone or under `tickers:` ({error})"
        raise BadSettingError("NEWS_TICKERS_FILE", path, expected) from error


def rules_of(settings: Settings) -> FilterRules:
    """The rules by the settings, without the file of rules.

    Raises:
        BadSettingError: a file of tickers, or keywords, that cannot be used.
    """
    return FilterRules(
        max_age=timedelta(hours=settings.news_max_age_hours),
        future_tolerance=timedelta(seconds=settings.news_future_tolerance_seconds),
        tickers=tickers_of(settings),
        keywords=_keywords("NEWS_KEYWORDS", settings.news_keywords),
        blocked=_keywords("NEWS_BLOCKED_KEYWORDS", settings.news_blocked_keywords),
        threshold=settings.sentiment_threshold,
        mode=settings.sentiment_mode,
        provider_weight=settings.sentiment_provider_weight,
    )


def _keywords(name: str, words: tuple[str, ...]) -> Keywords:
    try:
        return Keywords(words)
    except PatternError as error:
        raise BadSettingError(name, ",".join(words), f"keywords that fit ({error})") from error


def current_rules(settings: Settings) -> CurrentRules:
    """The rules in force, by the settings and the file that they name.

    Raises:
        BadSettingError: there are no rules that can be used.
    """
    rules, path = rules_of(settings), settings.news_rules_file
    try:
        return CurrentRules(rules, None if path is None else RuleFile(path, rules))
    except RuleFileError as error:
        raise BadSettingError("NEWS_RULES_FILE", path, f"a file of rules ({error})") from error


def rules_and_scorer(settings: Settings) -> tuple[FilterRules, SentimentScorer]:
    """What judges an article without a server.

    Raises:
        BadSettingError: the rules, or the scorer, cannot be used.
    """
    return current_rules(settings).rules, set_scorer(settings)


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[ServiceTask]]:
    """The tasks of the news filter."""
    current = current_rules(settings)
    current.report()
    scorer = set_scorer(settings)
    bus = Bus.connect(
        BusConfig(**settings.bus_config(service.name, Wait)),
        observer=service.bus_observer(),
        tracer=service.bus_tracer(),
    )
    service.ready_when("bus", lambda: bus.connected)
    raw = NEWS_RAW.configured(key=settings.news_raw_key)
    filtered = NEWS_FILTERED.configured(key=settings.news_filtered_key)
    seconds = settings.sentiment_cache_seconds
    cache = SentimentCache(bus.keys, seconds, scorer.name, scorer.version) if seconds else None

    async def publish(events: Sequence[NewsFiltered], event_ids: Sequence[str]) -> object:
        return await bus.publish_many(filtered, events, event_ids=event_ids)

    async def watch_rules(drain: Drain) -> None:
        await current.watch(settings.news_rules_reload_seconds, drain)

    async with bus:
        news_filter = NewsFilter(
            rules=lambda: current.rules,
            scoring=Scoring(scorer, cache),
            publish=publish,
            clock=utc_now,
        )
        consumer = RawArticleConsumer(news_filter)
        batch = SLOW_BATCH if scorer.slow else BATCH
        subscription = bus.subscribe_batches(
            raw, GROUP, consumer.handle, batch=batch, concurrency=CONCURRENCY
        )

        async def consume(drain: Drain) -> None:
            await subscription.run(drain.requested)

        yield [ServiceTask("articles", consume), ServiceTask("rules", watch_rules)]
