import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.schema import OUTBOX, SIGNALS
from streamdesk.order_executor.desk import Desk
from streamdesk.runtime import Drain
from streamdesk.trading.risk import Code

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
DeskOf = Callable[..., Awaitable[Desk]]
DatabasesOf = Callable[[str], dict[str, str]]

BUYERS = 4
SIGNALS_EACH = 30


async def refusals(desk: Desk) -> list[str]:
    query = select(SIGNALS.c.refusal_code).order_by(SIGNALS.c.decided_at)
    return await desk.ledger.database.read(lambda c: list(c.execute(query).scalars()))


async def refusals_by_signal(desk: Desk) -> dict[str, str | None]:
    query = select(SIGNALS.c.signal_id, SIGNALS.c.refusal_code)
    found = await desk.ledger.database.read(lambda c: c.execute(query).all())
    return {row[0]: row[1] for row in found}


async def told(desk: Desk) -> list[dict[str, Any]]:
    query = select(OUTBOX.c.body).where(OUTBOX.c.type == "RiskAlerted").order_by(OUTBOX.c.id)
    bodies = await desk.ledger.database.read(lambda c: list(c.execute(query).scalars()))
    return [json.loads(body) for body in bodies]


async def test_while_trading_is_halted_purchases_are_refused_and_sales_go_on(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desk = await desk_of()
    await desk.on_signal("signal-1", signal_of("AAPL.US"))
    await desk.kill_switch.halt("odd prices")

    await desk.on_signal("signal-2", signal_of("MSFT.US", minute=1))
    await desk.on_signal("signal-3", signal_of("AAPL.US", "SELL", minute=2, price=101.0))

    assert await refusals(desk) == [None, Code.TRADING_HALTED, None]
    assert (await desk.ledger.portfolio()).holdings == {}
    assert await desk.verify() == []


async def test_a_crossed_stop_sells_while_trading_is_halted(
    desk_of: DeskOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    desk = await desk_of()
    await desk.on_signal("signal-1", signal_of("AAPL.US", stop_loss=95.0))
    await desk.kill_switch.halt("")
    await desk.on_bar(bar_of("AAPL.US", minute=1, low=94.0, close=94.5, price=96.0))
    assert (await desk.ledger.portfolio()).holdings == {}


async def test_after_resume_purchases_are_made_again(desk_of: DeskOf, signal_of: SignalOf) -> None:
    desk = await desk_of()
    await desk.kill_switch.halt("lunch")
    ended = await desk.kill_switch.resume()
    await desk.on_signal("signal-1", signal_of())
    assert ended is not None
    assert ended.reason == "lunch"
    assert await desk.kill_switch.state() is None
    assert set((await desk.ledger.portfolio()).holdings) == {"AAPL.US"}


async def test_the_first_halt_stays_and_both_ends_are_told_once(desk_of: DeskOf) -> None:
    desk = await desk_of()
    first = await desk.kill_switch.halt("odd\n prices")
    second = await desk.kill_switch.halt("again")
    await desk.kill_switch.resume()
    assert await desk.kill_switch.resume() is None
    assert first.reason == "odd prices"
    assert second == first
    assert [(event["code"], event["severity"]) for event in await told(desk)] == [
        ("TRADING_HALTED", "critical"),
        ("TRADING_RESUMED", "info"),
    ]


async def test_no_executor_commits_a_purchase_after_halt_has_returned(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desks = [await desk_of(instance=f"executor-{n}", max_positions_us=999) for n in range(BUYERS)]
    halted = asyncio.Event()

    async def buy(number: int, desk: Desk) -> int:
        """How many of its purchases were begun after the halt, and made."""
        made = 0
        for at in range(SIGNALS_EACH):
            began_after = halted.is_set()
            name = f"signal-{number}-{at}"
            await desk.on_signal(name, signal_of(f"S{number}X{at}.US", minute=at, strength=0))
            code = (await refusals_by_signal(desk))[name]
            made += began_after and code is None
            if number == 0 and at == SIGNALS_EACH // 3:
                await desk.kill_switch.halt("enough")
                halted.set()
        return made

    assert sum(await asyncio.gather(*(buy(*item) for item in enumerate(desks)))) == 0
    codes = await refusals(desks[0])
    assert codes.count(Code.TRADING_HALTED) >= SIGNALS_EACH // 2
    assert await desks[0].verify() == []


async def test_the_halt_is_shown_in_the_metrics(desk_of: DeskOf) -> None:
    desk = await desk_of()
    drain = Drain()
    watching = asyncio.create_task(desk.protection.watch(drain))
    try:
        for wanted in (1, 0):
            await (desk.kill_switch.halt("") if wanted else desk.kill_switch.resume())
            async with asyncio.timeout(60):
                while REGISTRY.get_sample_value("trading_halted") != wanted:
                    await asyncio.sleep(0.01)
    finally:
        drain.request()
        await watching


def command(urls: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamdesk.order_executor", *words],
        env=os.environ | {name.upper(): url for name, url in urls.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_halts_tells_and_resumes(sqlite_of: DatabasesOf) -> None:
    urls = sqlite_of("desk")
    halted = command(urls, "halt", "--reason", "odd prices")
    assert halted.returncode == 0, halted.stderr
    report = json.loads(command(urls, "status").stdout)
    assert (report["halted"], report["reason"]) == (True, "odd prices")
    assert report["since"] == json.loads(halted.stdout)["since"]
    resumed = json.loads(command(urls, "resume").stdout)
    assert resumed == {"kind": "report", "halted": False}


@pytest.mark.parametrize("words", [("halt", "--why", "x"), ("status", "now")])
def test_the_command_refuses_what_it_does_not_know(
    sqlite_of: DatabasesOf, words: tuple[str, ...]
) -> None:
    result = command(sqlite_of("desk"), *words)
    assert result.returncode == 2
    assert "usage" in result.stderr


async def test_a_halted_account_is_still_worth_what_it_was(
    desk_of: DeskOf, signal_of: SignalOf
) -> None:
    desk = await desk_of()
    await desk.on_signal("signal-1", signal_of())
    before = (await desk.ledger.portfolio()).equity
    await desk.kill_switch.halt("")
    assert (await desk.ledger.portfolio()).equity == before > Decimal(0)
