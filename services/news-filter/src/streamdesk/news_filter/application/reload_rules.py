"""The rules in force: read anew when their file changes."""

import asyncio

from streamdesk.news_filter.adapters.rule_file.parser import RuleFile
from streamdesk.news_filter.domain.rules import FilterRules
from streamdesk.news_filter.errors import RuleFileError
from streamdesk.runtime import Drain, logger, metrics

log = logger(__name__)


class CurrentRules:
    """The rules in force.

    Args:
        rules: what holds without a file.
        file: takes their place, once now and then whenever it changes; None for no file.

    Raises:
        RuleFileError: the file is refused.
    """

    def __init__(self, rules: FilterRules, file: RuleFile | None) -> None:
        self.rules = rules
        self._file = file
        if file is not None:
            self._read(file)

    async def watch(self, every_seconds: float, drain: Drain) -> None:
        """Look at the file again and again; while it is refused, the old rules stay.

        Args:
            every_seconds: between two looks.
            drain: ends it.
        """
        if self._file is None:
            return
        while not await drain.sleep(every_seconds):
            # In a thread: a file may be on a server that does not answer.
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> bool:
        """Look at the file; returns whether other rules are in force now."""
        if self._file is None:
            return False
        try:
            changed = self._read(self._file)
        except RuleFileError as error:
            metrics.NEWS_RULES_LOADED.labels("refused").inc()
            log.error("rules refused, the old ones stay", problem=str(error))  # noqa: TRY400 - a line, no trace
            return False
        if changed:
            self.report()
        return changed

    def _read(self, file: RuleFile) -> bool:
        rules = file.changed()
        if rules is None:
            return False
        self.rules = rules
        metrics.NEWS_RULES_LOADED.labels("loaded").inc()
        return True

    def report(self) -> None:
        """Log which rules are in force."""
        file = "" if self._file is None else str(self._file.path)
        log.info("rules in force", file=file, **_summary(self.rules))


def _summary(rules: FilterRules) -> dict[str, object]:
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
