"""The signal queue as the desk uses it: the best score first."""

import asyncio
import random
import secrets
from datetime import UTC, datetime

from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import Side, SignalGenerated, SignalType
from streamdesk.contracts.topics import TRADING_SIGNALS

GROUP = TRADING_SIGNALS.groups[0]


def signal(score: float) -> SignalGenerated:
    now = datetime.now(UTC)
    return SignalGenerated(
        symbol="AAPL.US",
        type=SignalType.BUY,
        side=Side.BUY,
        score=score,
        strength=score / 100,
        price=271.75,
        reasons=(),
        indicators={},
        strategy="test",
        timestamp=now,
        priority=int(score // 10 * 10),
        queued_at=now,
    )


async def in_order_of_delivery(
    url: str, topic: Topic[SignalGenerated], scores: list[float]
) -> list[float]:
    """Publish signals with these scores, then let one consumer take them all."""
    seen: list[float] = []
    stop = asyncio.Event()

    async def note(message: Message[SignalGenerated]) -> None:
        seen.append(message.event.score)
        if len(seen) == len(scores):
            stop.set()

    async with Bus.connect(BusConfig(url=url)) as bus, asyncio.timeout(60):
        for score in scores:
            await bus.publish(topic, signal(score))
        await bus.subscribe(topic, GROUP, note, concurrency=1).run(stop)
    return seen


async def test_signals_with_scores_35_65_50_come_out_65_50_35(valkey_url: str) -> None:
    queue = TRADING_SIGNALS.configured(key=f"test:{secrets.token_hex(4)}")
    assert await in_order_of_delivery(valkey_url, queue, [35, 65, 50]) == [65, 50, 35]


async def test_a_thousand_signals_of_random_scores_come_out_ordered_by_class(
    valkey_url: str,
) -> None:
    dice = random.Random(35_65_50)
    scores = [round(dice.uniform(0, 100), 1) for _ in range(1000)]
    queue = TRADING_SIGNALS.configured(key=f"test:{secrets.token_hex(4)}")
    seen = await in_order_of_delivery(valkey_url, queue, scores)
    # Inside a class the order is that of arrival, which a stable sort keeps.
    assert seen == sorted(scores, key=lambda score: -(score // 10))
