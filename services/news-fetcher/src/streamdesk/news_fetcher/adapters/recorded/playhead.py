"""Where a recording is: kept in the state, so that a restart neither skips nor repeats."""

from collections.abc import Callable
from datetime import datetime, timedelta

from streamdesk.news_fetcher.adapters.redis_state import Play, StateKeeper


class Playhead:
    """Moves on while somebody plays; stands still while nobody does.

    Args:
        keeper: where the position is kept.
        speed: how much faster than recorded.
        clock: tells the time.
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
