from datetime import UTC, datetime

from pydantic import SecretStr
from structlog.testing import capture_logs

from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.contracts.events import Side, SignalGenerated, SignalType
from streamdesk.contracts.topics import TRADING_SIGNALS
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.signal_generator.config import Settings
from streamdesk.signal_generator.factory import topics
from streamdesk.strategy.scoring import SideScore
from streamdesk.strategy.signals import SignalDraft

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DRAFT = SignalDraft(
    symbol="AAPL.US",
    type=SignalType.BUY,
    score=SideScore(Side.BUY, 65, ()),
    price=100,
    stop_loss=None,
    take_profit=None,
    indicators={},
    timestamp=NOON,
)


def publisher(bus: Bus, url: str, *, wait_for_room: bool) -> SignalPublisher:
    settings = Settings(redis_url=SecretStr(url), signal_queue_max_size=1)
    return SignalPublisher(bus, topics(settings), lambda: NOON, wait_for_room=wait_for_room)


async def test_the_log_reports_once_that_the_queue_is_full_and_once_that_it_has_room(
    memory_url: str,
) -> None:
    drain = Drain()

    async def take(_message: Message[SignalGenerated]) -> None:
        drain.request()

    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        queue = publisher(bus, memory_url, wait_for_room=False)
        with capture_logs() as logs:
            sent = [await queue.signal(DRAFT, drain, str(number)) for number in range(4)]
            await bus.subscribe(TRADING_SIGNALS, "order-executors", take).run(drain.requested)
            sent.append(await queue.signal(DRAFT, drain, "next"))
    assert sent == [True, False, False, False, True]
    assert [(entry["event"], entry.get("signals_dropped")) for entry in logs] == [
        ("queue full, signals are dropped", None),
        ("a signal was queued again", 3),
    ]


async def test_a_signal_does_not_wait_for_room_when_the_process_stops(memory_url: str) -> None:
    drain = Drain()
    drain.request()
    async with Bus.connect(BusConfig(url=memory_url)) as bus:
        queue = publisher(bus, memory_url, wait_for_room=True)
        assert await queue.signal(DRAFT, drain, "one")
        assert not await queue.signal(DRAFT, drain, "two")
