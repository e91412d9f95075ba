"""A source that plays a recording: its articles come out as they came out then, but now.

The first article is as of the start, and each one is as old as it was when it came out. After a
restart, and with another replica, the recording resumes where the last round left it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.adapters.recorded.recording import NewsRecording, RecordedArticle
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.domain.articles import RawArticle
from streamdesk.news_fetcher.domain.fetcher_state import Play
from streamdesk.news_fetcher.domain.quota import Quota
from streamdesk.runtime import logger

log = logger(__name__)

Begin = Callable[[str], Awaitable[datetime]]
"""When the first article of the recording with this digest came out; now, if it is new."""


class RecordedNewsSource:
    """A NewsSource that plays a recording.

    Args:
        recording: what to play.
        speed: how much faster than recorded.
        begin: when playing began; see `Playhead`.
        clock: the current time.
        on_request: called with `ok` for every answer.
    """

    name = "recorded"
    by_ticker = False
    quota: Quota | None = None
    circuit_open = False

    def __init__(
        self,
        recording: NewsRecording,
        *,
        speed: float,
        begin: Begin,
        clock: Callable[[], datetime],
        on_request: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._recording = recording
        self._out_after = [one.out_after / speed for one in recording.articles]
        self._begin = begin
        self._clock = clock
        self._on_request = on_request
        self._over = False

    async def fetch(self, query: NewsQuery) -> Sequence[RawArticle]:
        """What came out since, by the time it came out: by date, old articles would never come.

        Raises:
            BusError: the position in the recording cannot be written.
            LeaseLostError: another replica plays it.
        """
        started_at = await self._begin(self._recording.digest)
        first = bisect_left(self._out_after, query.since - started_at)
        last = bisect_right(self._out_after, self._clock() - started_at)
        articles = self._recording.articles
        if last == len(articles) and not self._over:
            self._over = True
            log.info("recording over", articles=len(articles))
        self._on_request("ok")
        return [
            _dated(one, started_at + after)
            for one, after in zip(articles[first:last], self._out_after[first:last], strict=True)
        ]

    async def learn_quota(self) -> bool:
        """Nothing is counted here."""
        return False

    async def close(self) -> None:
        """There is nothing to give back."""


def _dated(one: RecordedArticle, out_at: datetime) -> RawArticle:
    return one.article if one.age is None else replace(one.article, published_at=out_at - one.age)


class Playhead:
    """Position in a recording, kept in the state: it moves only while a replica plays.

    Args:
        keeper: where the position is kept.
        speed: how much faster than recorded.
        clock: the current time.
    """

    def __init__(self, keeper: StateKeeper, speed: float, clock: Callable[[], datetime]) -> None:
        self._keeper = keeper
        self._speed = speed
        self._clock = clock
        self._tenure = 0
        self._started_at: datetime | None = None

    async def began(self, recording: str) -> datetime:
        """When the first article came out, or would have if all had been played in one go.

        Raises:
            BusError: the position cannot be written.
            LeaseLostError: another replica plays.
        """
        now, keeper = self._clock(), self._keeper
        if self._started_at is None or self._tenure != keeper.tenure:
            # With a new tenure: another replica may have played on meanwhile.
            play = keeper.state.play
            known = play is not None and play.recording == recording
            position = play.position_seconds if play is not None and known else 0.0
            self._started_at = now - timedelta(seconds=position / self._speed)
            self._tenure = keeper.tenure
        played = max(0.0, (now - self._started_at).total_seconds() * self._speed)
        play = Play(recording=recording, position_seconds=played)
        await keeper.write(lambda state: state.with_play(play))
        return self._started_at
