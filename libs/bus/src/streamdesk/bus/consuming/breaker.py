"""A circuit breaker: when most messages die, the fault is probably outside them.

Closed: all is well. Open: nothing is taken, so nothing more dies; what waits stays where it is.
Half open, after the pause: a single message is tried; if it is handled the circuit closes, if it
dies the circuit opens again. Nothing is dropped at any time.
"""

from collections import Counter, deque
from dataclasses import dataclass

from streamdesk.bus.errors import BusConfigError


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to stop taking messages.

    Args:
        window: how many of the last outcomes are looked at; fewer never open the circuit.
        dead_share: share of them that must have died, from 0 (exclusive) to 1.
        pause_seconds: how long nothing is taken before one message is tried.
    """

    window: int = 50
    dead_share: float = 0.5
    pause_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            BusConfigError: names the policy and what was expected.
        """
        if self.window < 1 or not 0 < self.dead_share <= 1 or self.pause_seconds <= 0:
            raise BusConfigError(
                f"{self!r}: expected a window of 1 or more, a share above 0 and up to 1, "
                "and a pause of more than 0 s"
            )


class Breaker:
    """One circuit: takes outcomes, and says how long to take nothing.

    A subscription has one for its messages. It fits whatever is asked again and again, and knows
    no clock: its caller passes the time.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        """The circuit is closed at first."""
        self._policy = policy
        self._reasons: deque[str] = deque()
        self._dead = 0
        self._open_until: float | None = None
        self.why = ""
        """Why it is open, for a person; empty while it is closed."""

    @property
    def is_closed(self) -> bool:
        """Whether messages are taken as usual."""
        return self._open_until is None

    def pause_seconds(self, now: float) -> float:
        """How long nothing should be taken; 0 when something may be (one, unless closed)."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)

    def note(self, dead_reason: str, now: float, count: int = 1) -> None:
        """A message ended, or several that ended alike.

        Args:
            dead_reason: why it died; empty when it did not.
            now: monotonic seconds.
            count: how many.
        """
        # Open or half open: one outcome after the pause decides.
        if self._open_until is not None:
            if now < self._open_until:
                return  # taken before the circuit opened
            if not dead_reason:
                self._open_until, self.why = None, ""
                self._reasons.clear()
                self._dead = 0
                return
            self._open(now, f"the message that was tried died, too: {dead_reason}")
            return
        window = self._policy.window
        # More outcomes than the window holds would only push each other out.
        for _ in range(min(count, window)):
            if len(self._reasons) == window:
                self._dead -= self._reasons.popleft() != ""
            self._reasons.append(dead_reason)
            self._dead += dead_reason != ""
            if len(self._reasons) == window and self._dead >= self._policy.dead_share * window:
                dead = Counter(reason for reason in self._reasons if reason)
                listed = ", ".join(f"{times} {reason}" for reason, times in dead.most_common(3))
                self._open(now, f"{self._dead} of the last {window} died: {listed}")
                return

    def _open(self, now: float, why: str) -> None:
        self._open_until = now + self._policy.pause_seconds
        self.why = f"{why}; nothing is taken for {self._policy.pause_seconds:g} s"
