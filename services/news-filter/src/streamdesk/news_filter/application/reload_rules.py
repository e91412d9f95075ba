"""The rules in force: out of the settings, and out of a file that is read again when it changes."""

import asyncio
from datetime import timedelta
from pathlib import Path

from streamdesk.news_filter.adapters.rule_file.parser import listed, parse_rules, read_bytes
from streamdesk.news_filter.config import Settings
from streamdesk.news_filter.domain import Keywords, PatternError, Rules
from streamdesk.news_filter.errors import RuleFileError
from streamdesk.runtime import (
    BadSettingError,
    Drain,
    TickerFileError,
    load_tickers,
    logger,
    metrics,
)

log = logger("news-filter")


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


def rules_of(settings: Settings) -> Rules:
    """The rules by the settings, without the file of rules.

    Raises:
        BadSettingError: a file of tickers, or keywords, that cannot be used.
    """
    return Rules(
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


class RuleBook:
    """The rules in force.

    Args:
        settings: name the file, if there is one, and say what holds besides.

    Raises:
        BadSettingError: there are no rules that can be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.news_rules_file
        self._otherwise = rules_of(settings)
        self._seen: bytes | str = ""
        """Content that was looked at last, or why there was none."""
        self.rules = self._otherwise
        if self._path is not None:
            try:
                self._read(self._path)
            except RuleFileError as error:
                expected = f"a file of rules ({error})"
                raise BadSettingError("NEWS_RULES_FILE", self._path, expected) from error

    async def watch(self, every_seconds: float, drain: Drain) -> None:
        """Look at the file again and again; a change for the worse changes nothing.

        Args:
            every_seconds: between two looks.
            drain: ends it.
        """
        if self._path is None:
            return
        while not await drain.sleep(every_seconds):
            # In a thread: a file may be on a server that does not answer.
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> bool:
        """Look at the file; returns whether other rules are in force now."""
        if self._path is None:
            return False
        try:
            changed = self._read(self._path)
        except RuleFileError as error:
            metrics.NEWS_RULES_LOADED.labels("refused").inc()
            log.error("rules refused, the old ones stay", problem=str(error))  # noqa: TRY400 - a line, no trace
            return False
        if changed:
            self.tell()
        return changed

    def _read(self, path: Path) -> bool:
        """By content, not by time: a ConfigMap changes by a symlink to another folder.

        Raises:
            RuleFileError: it is refused, and was not before with the same content.
        """
        try:
            content = read_bytes(path)
        except RuleFileError as error:
            if self._seen == str(error):
                return False
            self._seen = str(error)
            raise
        if self._seen == content:
            return False
        self._seen = content
        self.rules = parse_rules(content, path, self._otherwise)
        metrics.NEWS_RULES_LOADED.labels("loaded").inc()
        return True

    def tell(self) -> None:
        """Say in the log which rules are in force."""
        log.info("rules in force", file=str(self._path or ""), **_summary(self.rules))


def _summary(rules: Rules) -> dict[str, object]:
    return {
        "tickers": "*" if rules.tickers is None else len(rules.tickers),
        "keywords": len(rules.keywords),
        "blocked_keywords": len(rules.blocked),
        "patterns": len(rules.patterns),
        "blocked_patterns": len(rules.blocked_patterns),
        "max_age_hours": rules.max_age.total_seconds() / 3600,
        "threshold": rules.threshold,
        "mode": rules.mode.value,
    }
