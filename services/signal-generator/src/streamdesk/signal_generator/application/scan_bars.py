"""Batches of bars in, signals out."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from streamdesk.contracts.events import BarClosed
from streamdesk.market.bars import BarSequence
from streamdesk.market.errors import BarError
from streamdesk.runtime import logger, metrics
from streamdesk.signal_generator.adapters.feeds.port import FeedBatch
from streamdesk.signal_generator.domain.cursor import decided_first
from streamdesk.signal_generator.domain.outliers import OutlierFilter
from streamdesk.strategy.scanner import BelowThreshold, CoolingDown, NotEnoughBars, Scanner
from streamdesk.strategy.signals import SignalDraft

log = logger(__name__)

REFUSALS_LOGGED = 20
"""Refused bars of one reason that are logged each; the others are counted."""


@dataclass(slots=True)
class ScannedBars:
    """The good bars of a batch, and what they mean.

    Args:
        bars: in the batch's order.
        drafts: signals: exits first, then by priority, then by symbol.
        withheld: bars that gave no signal, by reason.
        played: as the batch has it.
        of_the_past: whether they gave no signals because they only feed the indicators.
    """

    bars: list[BarClosed]
    drafts: list[SignalDraft] = field(default_factory=list)
    withheld: Counter[str] = field(default_factory=Counter)
    played: str = ""
    of_the_past: bool = False

    @property
    def time(self) -> datetime | None:
        """End of the newest bar; None without one."""
        return max((bar.timestamp for bar in self.bars), default=None)


class BarScan:
    """Checks and scans batches of bars. A bar that is refused stops nothing.

    Args:
        feed: name of the feed, for metrics.
        sequence: decides which bars may follow those before them.
        outliers: decides which of these are wrong prints.
        scanner: decides what they mean.

    Attributes:
        refused: refused bars so far, by reason.
    """

    def __init__(
        self, feed: str, sequence: BarSequence, outliers: OutlierFilter, scanner: Scanner
    ) -> None:
        self._feed = feed
        self._sequence = sequence
        self._outliers = outliers
        self._scanner = scanner
        self._too_short: set[str] = set()
        self.refused: Counter[str] = Counter()

    def parameters(self) -> dict[str, float]:
        """The numbers of the rules in force, by name."""
        return self._scanner.rules.parameters()

    def learn(self, batch: FeedBatch) -> ScannedBars:
        """Feed the indicators with bars of the past."""
        bars = self._good(batch)
        for bar in bars:
            self._scanner.learn(bar)
        return ScannedBars(bars, played=batch.played, of_the_past=True)

    def scan(self, batch: FeedBatch) -> ScannedBars:
        """Find the signals of bars that just closed."""
        scanned = ScannedBars(self._good(batch), played=batch.played)
        for bar in scanned.bars:
            verdict = self._scanner.scan(bar)
            match verdict:
                case SignalDraft():
                    scanned.drafts.append(verdict)
                case NotEnoughBars():
                    scanned.withheld["not-enough-bars"] += 1
                    self._log_once(verdict)
                case BelowThreshold():
                    scanned.withheld["below-threshold"] += 1
                case CoolingDown():
                    scanned.withheld["cooling-down"] += 1
        scanned.drafts.sort(key=decided_first)
        return scanned

    def _good(self, batch: FeedBatch) -> list[BarClosed]:
        for error in batch.refused:
            self._refuse(error)
        good = []
        for bar in batch.bars:
            try:
                self._sequence.admit(bar)
                lasts = self._outliers.admit(bar)
            except BarError as error:
                self._refuse(error)
            else:
                good.append(bar)
                if lasts:
                    log.warning("a doubtful price lasts", symbol=bar.symbol, price=bar.close)
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
