"""Batches of bars in, signals out."""

from collections import Counter

from streamdesk.contracts.events import BarClosed
from streamdesk.market.bars import BarSequence
from streamdesk.market.errors import BarError
from streamdesk.runtime import Drain, logger, metrics
from streamdesk.signal_generator.adapters.feeds.port import FeedBatch
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.strategy.scanner import BelowThreshold, CoolingDown, NotEnoughBars, Scanner
from streamdesk.strategy.signals import SignalDraft

log = logger(__name__)

REFUSALS_LOGGED = 20
"""Refused bars of one reason that are logged each; the others are counted."""


class BarScan:
    """Checks, publishes and scans batches of bars. A bar that is refused stops nothing.

    Args:
        feed: name of the feed, for metrics.
        sequence: decides which bars are good.
        scanner: decides what they mean.
        publisher: writes bars and signals to the bus.

    Attributes:
        bars: good bars so far.
        signals: signals queued so far.
        refused: refused bars so far, by reason.
    """

    def __init__(
        self, feed: str, sequence: BarSequence, scanner: Scanner, publisher: SignalPublisher
    ) -> None:
        self._feed = feed
        self._sequence = sequence
        self._scanner = scanner
        self._publisher = publisher
        self._too_short: set[str] = set()
        self.bars = 0
        self.signals = 0
        self.refused: Counter[str] = Counter()

    async def learn(self, batch: FeedBatch) -> list[BarClosed]:
        """Publish bars of the past and feed the indicators with them; return the good ones."""
        bars = self._good(batch)
        await self._publisher.bars(bars)
        for bar in bars:
            self._scanner.learn(bar)
        return bars

    async def scan(self, batch: FeedBatch, drain: Drain) -> None:
        """Publish bars that just closed, and the signals they give."""
        bars = self._good(batch)
        # Bars first: a consumer that receives a signal finds its bar on the bus.
        await self._publisher.bars(bars)
        for bar in bars:
            verdict = self._scanner.scan(bar)
            match verdict:
                case SignalDraft():
                    self.signals += await self._publisher.signal(verdict, drain)
                case NotEnoughBars():
                    metrics.SIGNALS_WITHHELD.labels("not-enough-bars").inc()
                    self._log_once(verdict)
                case BelowThreshold():
                    metrics.SIGNALS_WITHHELD.labels("below-threshold").inc()
                case CoolingDown():
                    metrics.SIGNALS_WITHHELD.labels("cooling-down").inc()

    def _good(self, batch: FeedBatch) -> list[BarClosed]:
        for error in batch.refused:
            self._refuse(error)
        good = []
        for bar in batch.bars:
            try:
                self._sequence.admit(bar)
            except BarError as error:
                self._refuse(error)
            else:
                good.append(bar)
        self.bars += len(good)
        metrics.BARS_TAKEN.labels(self._feed).inc(len(good))
        return good

    def _refuse(self, error: BarError) -> None:
        self.refused[error.reason] += 1
        metrics.BARS_REFUSED.labels(self._feed, error.reason).inc()
        if self.refused[error.reason] <= REFUSALS_LOGGED:
            log.warning("bar refused", reason=error.reason, detail=str(error))
        elif self.refused[error.reason] == REFUSALS_LOGGED + 1:
            log.warning("more bars refused, from here on only counted", reason=error.reason)

    def _log_once(self, verdict: NotEnoughBars) -> None:
        if verdict.symbol not in self._too_short:
            self._too_short.add(verdict.symbol)
            log.info(
                "no signals yet: not enough bars",
                symbol=verdict.symbol,
                bars=verdict.bars,
                needed=verdict.needed,
            )
