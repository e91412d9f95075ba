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
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import Drain
from streamdesk.trading.risk import Code

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]

BUYERS = 4
SIGNALS_EACH = 30


async def refusals(executor: OrderExecutor) -> list[str]:
    query = select(SIGNALS.c.refusal_code).order_by(SIGNALS.c.decided_at)
    return await executor.ledger.database.read(lambda c: list(c.execute(query).scalars()))


async def refusals_by_signal(executor: OrderExecutor) -> dict[str, str | None]:
    query = select(SIGNALS.c.signal_id, SIGNALS.c.refusal_code)
    found = await executor.ledger.database.read(lambda c: c.execute(query).all())
    return {row[0]: row[1] for row in found}


async def alerts(executor: OrderExecutor) -> list[dict[str, Any]]:
    query = select(OUTBOX.c.body).where(OUTBOX.c.type == "RiskAlerted").order_by(OUTBOX.c.id)
    bodies = await executor.ledger.database.read(lambda c: list(c.execute(query).scalars()))
    return [json.loads(body) for body in bodies]


async def test_while_trading_is_halted_buys_are_refused_and_sells_continue(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of("AAPL.US"))
    await executor.kill_switch.halt("odd prices")

    await executor.on_signal("signal-2", signal_of("MSFT.US", minute=1))
    await executor.on_signal("signal-3", signal_of("AAPL.US", "SELL", minute=2, price=101.0))

    assert await refusals(executor) == [None, Code.TRADING_HALTED, None]
    assert (await executor.ledger.portfolio()).holdings == {}
    assert await executor.verify() == []


async def test_a_crossed_stop_sells_while_trading_is_halted(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of("AAPL.US", stop_loss=95.0))
    await executor.kill_switch.halt("")
    await executor.on_bar(bar_of("AAPL.US", minute=1, low=94.0, close=94.5, price=96.0))
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_after_resume_buys_are_made_again(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.kill_switch.halt("lunch")
    ended = await executor.kill_switch.resume()
    await executor.on_signal("signal-1", signal_of())
    assert ended is not None
    assert ended.reason == "lunch"
    assert await executor.kill_switch.state() is None
    assert set((await executor.ledger.portfolio()).holdings) == {"AAPL.US"}


async def test_the_first_halt_stays_and_both_ends_are_announced_once(
    executor_of: ExecutorOf,
) -> None:
    executor = await executor_of()
    first = await executor.kill_switch.halt("odd\n prices")
    second = await executor.kill_switch.halt("again")
    await executor.kill_switch.resume()
    assert await executor.kill_switch.resume() is None
    assert first.reason == "odd prices"
    assert second == first
    assert [(event["code"], event["severity"]) for event in await alerts(executor)] == [
        ("TRADING_HALTED", "critical"),
        ("TRADING_RESUMED", "info"),
    ]


async def test_no_executor_commits_a_buy_after_halt_has_returned(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executors = [
        await executor_of(instance=f"executor-{n}", max_positions_us=999) for n in range(BUYERS)
    ]
    halted = asyncio.Event()

    async def buy(number: int, executor: OrderExecutor) -> int:
        """How many of its buys were begun after the halt, and made."""
        made = 0
        for at in range(SIGNALS_EACH):
            began_after = halted.is_set()
            name = f"signal-{number}-{at}"
            await executor.on_signal(name, signal_of(f"S{number}X{at}.US", minute=at, strength=0))
            code = (await refusals_by_signal(executor))[name]
            made += began_after and code is None
            if number == 0 and at == SIGNALS_EACH // 3:
                await executor.kill_switch.halt("enough")
                halted.set()
        return made

    assert sum(await asyncio.gather(*(buy(*item) for item in enumerate(executors)))) == 0
    codes = await refusals(executors[0])
    assert codes.count(Code.TRADING_HALTED) >= SIGNALS_EACH // 2
    assert await executors[0].verify() == []


async def test_the_halt_is_shown_in_the_metrics(executor_of: ExecutorOf) -> None:
    executor = await executor_of()
    drain = Drain()
    watching = asyncio.create_task(executor.keep_protected(drain))
    try:
        for wanted in (1, 0):
            await (executor.kill_switch.halt("") if wanted else executor.kill_switch.resume())
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
    urls = sqlite_of("account")
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
    result = command(sqlite_of("account"), *words)
    assert result.returncode == 2
    assert "usage" in result.stderr


async def test_a_halted_account_is_still_worth_what_it_was(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    before = (await executor.ledger.portfolio()).equity
    await executor.kill_switch.halt("")
    assert (await executor.ledger.portfolio()).equity == before > Decimal(0)
