"""Lets the time of a recording advance only when everything of that time is decided."""

import asyncio
import time
from collections.abc import Sequence

from streamdesk.bus import Bus
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import BarClosed, BarsHandled, SignalGenerated
from streamdesk.runtime import Drain, logger, metrics

log = logger(__name__)

LOOK_SECONDS = 1.0
"""How often the consumers of the signals are asked for again."""

POLL_SECONDS = 0.002, 0.05
"""First and longest pause between two looks whether the signals are decided."""

LONG_SECONDS = 5.0
"""A longer wait is logged, once, with what it is for."""

EntryId = tuple[int, int]


class InStep:
    """Knows which executors there are, and how far they are.

    Executors are the active consumers of the signals. Each reports how far it has handled the
    bars; its decisions on signals are their acknowledgements.

    Args:
        bus: the bus.
        bars: topic of the bars.
        handled: topic of the executors' reports.
        signals: topic of the signals, with one group.
    """

    def __init__(
        self,
        bus: Bus,
        bars: Topic[BarClosed],
        handled: Topic[BarsHandled],
        signals: Topic[SignalGenerated],
    ) -> None:
        self._bus = bus
        self._bars = bars
        self._handled = handled
        self._signals = signals
        self._reports: dict[str, tuple[EntryId, int]] = {}
        self._news = asyncio.Event()
        self._executors: frozenset[str] = frozenset()
        self._looked_at = float("-inf")
        self._target: tuple[EntryId, int] | None = None

    async def follow(self, drain: Drain) -> None:
        """Read the executors' reports until the drain."""
        tail = self._bus.tail(self._handled, since="0", stop=drain.requested)
        async for message in tail:
            report: BarsHandled = message.event
            self._reports[report.executor] = _parsed(report.entry), report.bars
            self._news.set()

    async def someone_decides(self, drain: Drain) -> bool:
        """Wait for an executor; False where the drain came first."""
        wait = _Wait("executor")
        while not await self._present():
            if await wait.sleep(LOOK_SECONDS / 4, drain, "an executor: none consumes the signals"):
                return False
        return wait.over()

    def bars_published(self, entries: Sequence[str]) -> None:
        """These are the entries of the bars that must be handled next; empty: the newest one."""
        last = entries[-1] if entries else ""
        self._target = (_parsed(last), list(entries).count(last)) if last else None

    async def bars_handled(self, drain: Drain) -> bool:
        """Wait until all executors have handled the bars; False where the drain came first."""
        target = self._target = self._target or await self._newest()
        wait = _Wait("bars")
        while True:
            self._news.clear()
            behind = [name for name in await self._present() if not self._is_done(name, target)]
            if self._executors and not behind:
                return wait.over()
            if await wait.until(self._news, drain, f"{_names(behind)} to handle the bars"):
                return False

    async def signals_decided(self, drain: Drain) -> bool:
        """Wait until no signal waits, is pending or delayed; False where the drain came first."""
        wait = _Wait("signals")
        pause, longest = POLL_SECONDS
        group = self._signals.groups[0]
        while unfinished := await self._bus.unfinished(self._signals, group):
            if await wait.sleep(pause, drain, f"{unfinished} signals to be decided"):
                return False
            pause = min(longest, pause * 1.5)
        return wait.over()

    async def _present(self) -> frozenset[str]:
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            group = self._signals.groups[0]
            names = [c.name for c in await self._bus.consumers(self._signals, group) if c.active]
            # <service>-<instance>-<random>: the service is the group's only one.
            service = f"{self._signals.consumers[0].service}-"
            found = {name.removeprefix(service).rpartition("-")[0] for name in names}
            self._executors, self._looked_at = frozenset(found), time.monotonic()
        return self._executors

    async def _newest(self) -> tuple[EntryId, int]:
        """What was published last, by a process before this one."""
        entry = await self._bus.newest_entry(self._bars)
        bars = [m async for m in self._bus.replay(self._bars, since=entry, until=entry)]
        return _parsed(entry), len(bars)

    def _is_done(self, executor: str, target: tuple[EntryId, int]) -> bool:
        return self._reports.get(executor, ((0, 0), 0)) >= target


class _Wait:
    """One wait: counted while it lasts, logged when it is long."""

    def __init__(self, what: str) -> None:
        self._counter = metrics.FEED_WAIT.labels(what)
        self._began = self._counted = time.monotonic()
        self._logged = False

    async def sleep(self, seconds: float, drain: Drain, why: str) -> bool:
        """Wait a while; whether the drain is requested."""
        self._count(why)
        return await drain.sleep(seconds)

    async def until(self, news: asyncio.Event, drain: Drain, why: str) -> bool:
        """Wait for news, or a look at the executors; whether the drain is requested."""
        self._count(why)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await news.wait()
        except TimeoutError:
            pass
        return drain.requested.is_set()

    def over(self) -> bool:
        """It is over; always true."""
        self._count("")
        if self._logged:
            log.info("in step again", waited_seconds=round(time.monotonic() - self._began, 1))
        return True

    def _count(self, why: str) -> None:
        now = time.monotonic()
        self._counter.inc(now - self._counted)
        self._counted = now
        if why and not self._logged and now - self._began > LONG_SECONDS:
            self._logged = True
            log.warning("the recording waits in step", waits_for=why)


def _parsed(entry: str) -> EntryId:
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)


def _names(executors: Sequence[str]) -> str:
    return ", ".join(sorted(executors)) or "an executor"
