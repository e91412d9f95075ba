"""Limits on loss, in a ledger: what is locked, for how long, and who sees it."""

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, select

from streamdesk.bus import Outcome
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.schema import OUTBOX, ROUND_TRIPS, SIGNALS
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.settings_report import load
from streamdesk.trading.locks import EVERY_SYMBOL, LockCode
from streamdesk.trading.protections import (
    AnyProtection,
    CooldownPeriod,
    LowProfitPairs,
    MaxDrawdown,
    StoplossGuard,
)

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]

DAY = 24 * 60
NO_LIMITS: dict[str, Any] = {
    "daily_loss_limit_percent": 0,
    "drawdown_limit_percent": 0,
    "protections": (),
}
Trade = Callable[..., Awaitable[None]]


async def refusals(executor: OrderExecutor) -> dict[str, str | None]:
    """The code of each signal's refusal; None for what became an order."""
    query = select(SIGNALS.c.signal_id, SIGNALS.c.refusal_code)
    found = await executor.ledger.database.read(lambda c: c.execute(query).all())
    return {row[0]: row[1] for row in found}


async def events(executor: OrderExecutor, *types: str) -> list[dict[str, Any]]:
    query = select(OUTBOX.c.body).where(OUTBOX.c.type.in_(types)).order_by(OUTBOX.c.id)
    bodies = await executor.ledger.database.read(lambda c: list(c.execute(query).scalars()))
    return [json.loads(body) for body in bodies]


async def locked(executor: OrderExecutor) -> list[tuple[str, str]]:
    """Symbol and code of the locks that have not ended."""
    return [(item.lock.symbol, item.lock.code) for item in await executor.loss_limits.locks()]


@pytest.fixture
def executor_of(executor_of: ExecutorOf, bar_of: BarOf) -> ExecutorOf:
    """Executors that see the bar of each signal before it, as on a desk."""

    async def make(account: str = "account", **more: Any) -> OrderExecutor:
        executor = await executor_of(account, **more)
        decide = executor.on_signal

        async def on_signal(signal_id: str, signal: SignalGenerated) -> Outcome:
            at = {"timestamp": signal.timestamp}
            await executor.on_bar(bar_of(signal.symbol, price=signal.price).model_copy(update=at))
            return await decide(signal_id, signal)

        seen_first: Any = executor
        seen_first.on_signal = on_signal
        return executor

    return make


@pytest.fixture
def stop_out(signal_of: SignalOf, bar_of: BarOf) -> Trade:
    """Buy, and be stopped out one minute later."""

    async def act(
        executor: OrderExecutor, minute: int, price: float = 94.0, symbol: str = "AAPL.US"
    ) -> None:
        entry = signal_of(symbol, minute=minute, stop_loss=95.0, strength=1.0)
        await executor.on_signal(f"{symbol}-{minute}", entry)
        await executor.on_bar(bar_of(symbol, minute=minute + 1, price=price))

    return act


async def test_ten_stop_outs_in_a_row_are_ended_by_the_first_that_costs_too_much(
    executor_of: ExecutorOf, stop_out: Trade
) -> None:
    # From 66 back to 100 is a jump.
    executor = await executor_of(price_jump_percent=0)
    for number in range(10):
        await stop_out(executor, number * 10, 66.0)
    codes = list((await refusals(executor)).values())
    assert codes == [None] + 9 * [LockCode.DAILY_LOSS]
    portfolio = await executor.ledger.portfolio()
    assert portfolio.equity > Decimal(930_000)  # 20 % of it fell by a third
    assert await executor.verify() == []


async def test_small_stop_outs_are_ended_by_the_guard(
    executor_of: ExecutorOf, stop_out: Trade
) -> None:
    executor = await executor_of()
    for number in range(8):
        await stop_out(executor, number * 10, 97.0 - 2.5)  # 1.1 % of the equity each
    codes = Counter((await refusals(executor)).values())
    assert codes[None] in {3, 4}
    assert set(codes) <= {None, LockCode.STOPLOSS_GUARD, LockCode.DAILY_LOSS}
    assert (await executor.ledger.portfolio()).equity > Decimal(950_000)


async def test_four_strong_signals_leave_a_fifth_of_the_cash(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    for name in ("AAPL.US", "MSFT.US", "NVDA.US", "TSLA.US"):
        await executor.on_signal(name, signal_of(name, strength=1.0, score=95.0))
    portfolio = await executor.ledger.portfolio()
    assert len(portfolio.holdings) == 4
    assert portfolio.cash >= Decimal(200_000)
    for holding in portfolio.holdings.values():
        assert holding.cost <= portfolio.initial_cash / 5


async def test_a_loss_of_the_day_locks_until_the_next_and_is_alerted_once(
    executor_of: ExecutorOf, signal_of: SignalOf, stop_out: Trade
) -> None:
    executor = await executor_of()
    await stop_out(executor, 0, 80.0)
    await executor.on_signal("same-day", signal_of("MSFT.US", minute=400))
    await executor.on_signal("again", signal_of("NVDA.US", minute=401))
    assert await locked(executor) == [(EVERY_SYMBOL, LockCode.DAILY_LOSS)]
    await executor.on_signal("next-day", signal_of("MSFT.US", minute=DAY))
    decided = await refusals(executor)
    assert (decided["same-day"], decided["next-day"]) == (LockCode.DAILY_LOSS, None)
    assert await locked(executor) == []
    alerts = await events(executor, "RiskAlerted")
    assert [alert["code"] for alert in alerts].count(LockCode.DAILY_LOSS) == 1
    made, ended = await events(executor, "EntriesLocked", "EntriesUnlocked")
    assert (made["until"], made["symbol"]) == ("2026-11-21T00:00:00Z", None)
    assert (ended["cause"], ended["lock_id"]) == ("expired", made["lock_id"])


async def test_an_open_loss_locks_at_the_bar_that_brings_it_and_a_recovery_does_not_unlock(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("held", signal_of(strength=1.0))
    await executor.on_bar(bar_of(minute=1, price=86.0))
    assert await locked(executor) == []
    await executor.on_bar(bar_of(minute=2, price=84.0))
    assert await locked(executor) == [(EVERY_SYMBOL, LockCode.DAILY_LOSS)]
    await executor.on_bar(bar_of(minute=3, price=110.0))
    await executor.on_signal("entry", signal_of("MSFT.US", minute=3))
    await executor.on_signal("exit", signal_of("AAPL.US", "SELL", minute=4, price=110.0))
    decided = await refusals(executor)
    assert (decided["entry"], decided["exit"]) == (LockCode.DAILY_LOSS, None)


async def test_the_loss_of_a_day_counts_from_the_last_prices_of_the_day_before(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of(drawdown_limit_percent=0)
    await executor.on_signal("held", signal_of(strength=1.0))
    for day, price in ((0, 90.0), (1, 80.0), (2, 70.0)):
        await executor.on_bar(bar_of(minute=day * DAY + 1, price=price + 5))
        await executor.on_bar(bar_of(minute=day * DAY + 2, price=price))
    track = (await executor.ledger.portfolio()).risk.track
    assert track is not None
    holding = (await executor.ledger.portfolio()).holdings["AAPL.US"]
    cash = (await executor.ledger.portfolio()).cash
    assert track.day_equity == cash + 80 * holding.quantity
    # 2 % a day, each below the limit of 3 %: together they are more.
    assert await locked(executor) == []
    assert track.day.isoformat() == "2026-11-22"


async def test_a_drawdown_locks_until_a_person_lifts_it_and_is_then_measured_anew(
    executor_of: ExecutorOf, signal_of: SignalOf, stop_out: Trade
) -> None:
    more = {"drawdown_limit_percent": 4, "daily_loss_limit_percent": 0, "protections": ()}
    executor = await executor_of(**more)
    await stop_out(executor, 0, 75.0)
    await executor.on_signal("years-later", signal_of("MSFT.US", minute=999 * DAY))
    assert await locked(executor) == [(EVERY_SYMBOL, LockCode.DRAWDOWN)]
    (item,) = await executor.loss_limits.locks()
    assert [lifted.number for lifted in await executor.loss_limits.lift([item.number])] == [1]
    await executor.on_signal("resumed", signal_of("MSFT.US", minute=999 * DAY + 1))
    decided = await refusals(executor)
    assert (decided["years-later"], decided["resumed"]) == (LockCode.DRAWDOWN, None)
    (ended,) = await events(executor, "EntriesUnlocked")
    assert ended["cause"] == "lifted"
    assert await executor.loss_limits.locks() == []


async def test_a_loss_of_the_day_that_a_person_lifted_counts_from_there(
    executor_of: ExecutorOf, signal_of: SignalOf, stop_out: Trade
) -> None:
    executor = await executor_of(drawdown_limit_percent=0)
    await stop_out(executor, 0, 80.0)
    assert len(await executor.loss_limits.lift()) == 1
    await executor.on_signal("entry", signal_of("MSFT.US", minute=5))
    assert (await refusals(executor))["entry"] is None


@pytest.mark.parametrize(
    ("rule", "other_symbol"),
    [
        (StoplossGuard(trade_limit=2, stop_minutes=30), LockCode.STOPLOSS_GUARD),
        (StoplossGuard(trade_limit=2, stop_minutes=30, only_per_pair=True), None),
        (CooldownPeriod(stop_minutes=30), None),
        (LowProfitPairs(trade_limit=2, stop_minutes=30), None),
    ],
    ids=["guard", "guard of a symbol", "cooldown", "low profit"],
)
async def test_a_protection_locks_in_event_time_and_its_lock_expires(
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    stop_out: Trade,
    rule: AnyProtection,
    other_symbol: str | None,
) -> None:
    executor = await executor_of(**{**NO_LIMITS, "protections": (rule,)})
    await stop_out(executor, 0)
    if not isinstance(rule, CooldownPeriod):
        await stop_out(executor, 10)
    last = 1 if isinstance(rule, CooldownPeriod) else 11
    await executor.on_signal("locked", signal_of(minute=last + 29))
    await executor.on_signal("other", signal_of("MSFT.US", minute=last + 29))
    await executor.on_signal("free", signal_of(minute=last + 30))
    decided = await refusals(executor)
    assert decided["locked"] == rule.code
    assert (decided["other"], decided["free"]) == (other_symbol, None)
    assert await locked(executor) == []


@pytest.mark.parametrize(
    "rule",
    [
        StoplossGuard(trade_limit=2, stop_minutes=30),
        MaxDrawdown(trade_limit=2, stop_minutes=30, max_allowed_drawdown=Decimal("0.1")),
        MaxDrawdown(
            trade_limit=2,
            stop_minutes=30,
            max_allowed_drawdown=Decimal("0.02"),
            calculation_mode="equity",
        ),
    ],
    ids=["guard", "drawdown by ratios", "drawdown by equity"],
)
async def test_losses_in_several_symbols_lock_all_of_them_together(
    executor_of: ExecutorOf, signal_of: SignalOf, stop_out: Trade, rule: AnyProtection
) -> None:
    executor = await executor_of(**{**NO_LIMITS, "protections": (rule,)})
    await stop_out(executor, 0)
    assert await locked(executor) == []
    await stop_out(executor, 10, symbol="MSFT.US")
    assert await locked(executor) == [(EVERY_SYMBOL, rule.code)]
    await executor.on_signal("third", signal_of("NVDA.US", minute=20))
    assert (await refusals(executor))["third"] == rule.code


async def test_two_executors_of_one_ledger_agree_and_a_restarted_one_keeps_the_locks(
    executor_of: ExecutorOf, signal_of: SignalOf, stop_out: Trade
) -> None:
    first, second = await executor_of(), await executor_of(instance="executor-2")
    await stop_out(first, 0, 80.0)
    await second.on_signal("second", signal_of("MSFT.US", minute=5))
    restarted = await executor_of(instance="executor-3")
    await restarted.on_signal("restarted", signal_of("NVDA.US", minute=6))
    decided = await refusals(first)
    assert (decided["second"], decided["restarted"]) == 2 * (LockCode.DAILY_LOSS,)
    assert len(await restarted.loss_limits.locks()) == 1


async def test_every_executor_that_sees_the_bar_makes_one_lock_together(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executors = [await executor_of(instance=f"executor-{n}") for n in range(3)]
    await executors[0].on_signal("held", signal_of(strength=1.0))
    for executor in executors:
        await executor.reconciliation.reconcile()
        await executor.on_bar(bar_of(minute=2, price=80.0))
    assert await locked(executors[0]) == [(EVERY_SYMBOL, LockCode.DAILY_LOSS)]
    assert len(await events(executors[0], "EntriesLocked")) == 1


async def test_more_orders_than_allowed_within_a_minute_of_the_market_are_refused(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    small = {"max_positions_us": 99, "size_min_percent": 1, "size_max_percent": 2}
    executors = [
        await executor_of(max_orders_per_minute=3, instance=f"executor-{n}", **small)
        for n in range(2)
    ]
    for number in range(5):
        signal = signal_of(f"S{number}.US", minute=0)
        await executors[number % 2].on_signal(f"signal-{number}", signal)
    await executors[0].on_signal("later", signal_of("LATER.US", minute=1))
    decided = await refusals(executors[0])
    assert list(decided.values()).count("ORDER_RATE") == 2
    assert decided["later"] is None


async def test_a_position_is_one_round_trip_however_many_fills_it_had(
    executor_of: ExecutorOf, signal_of: SignalOf, stop_out: Trade
) -> None:
    executor = await executor_of(**NO_LIMITS)
    await stop_out(executor, 0)
    await executor.on_signal("won", signal_of(minute=10))
    await executor.on_signal("sold", signal_of(side="SELL", minute=12, price=110.0))
    await executor.on_signal("open", signal_of("MSFT.US", minute=20))

    def trips(connection: Connection) -> list[Any]:
        return list(connection.execute(select(ROUND_TRIPS)).mappings())

    lost, won, still_open = await executor.ledger.database.read(trips)
    portfolio = await executor.ledger.portfolio()
    assert lost["profit"] + won["profit"] == portfolio.realized_pnl
    assert lost["profit"] < 0 < won["profit"]
    assert lost["cost"] + won["cost"] > Decimal(300_000)
    assert (lost["by_stop"], won["by_stop"], still_open["by_stop"]) == (True, False, None)
    assert won["closed_at"] - lost["closed_at"] == timedelta(minutes=11)
    assert (still_open["closed_at"], still_open["profit"]) == (None, 0)


async def test_when_the_portfolio_is_valued_on_the_wall_clock_changes_no_decision(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    rules = [StoplossGuard(trade_limit=2, lookback_minutes=DAY, stop_minutes=300)]
    more = {"protections": rules, "valuation_interval_seconds": 1e-9}
    executors = [await executor_of(account, **more) for account in ("valued", "never-valued")]
    dice = random.Random(7)
    for step in range(60):
        minute, name = step * 97, dice.choice(["AAPL.US", "MSFT.US", "NVDA.US"])
        price = float(dice.randint(88, 104))
        entry = signal_of(name, minute=minute, stop_loss=95.0, take_profit=103.0, strength=1.0)
        for executor in executors:
            await executor.on_signal(f"signal-{step}", entry)
            await executor.on_bar(bar_of(name, minute=minute + 1, price=price))
            if executor is executors[0]:
                await executor.protection.value()
    codes = set((await refusals(executors[0])).values())
    assert {None, LockCode.DAILY_LOSS, LockCode.STOPLOSS_GUARD} <= codes
    assert await executors[0].digest() == await executors[1].digest()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_symbol_percent": 4}, "MAX_SYMBOL_PERCENT 4 is below SIZE_MIN_PERCENT 5"),
        ({"daily_loss_limit_percent": 101}, "less than or equal to 100"),
        ({"protections": [{"method": "CooldownPeriod", "stop_duration": 5}]}, "stop_duration"),
        ({"protections": [{"method": "Guard"}]}, "StoplossGuard"),
        ({"protections": [{"method": "StoplossGuard", "trade_limit": 0}]}, "trade_limit is 1"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings.model_validate(wrong)


def test_a_misspelt_part_of_a_protection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTECTIONS", '[{"method": "CooldownPeriod", "stop_duration": 5}]')
    with pytest.raises(BadSettingError, match=r"PROTECTIONS\.0\.CooldownPeriod\.stop_duration=5"):
        load(Settings)


def test_protections_are_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[{"method": "LowProfitPairs", "trade_limit": 2, "required_profit": 0.02}]'
    monkeypatch.setenv("PROTECTIONS", text)
    rules = Settings().limits().protections
    assert rules == (LowProfitPairs(trade_limit=2, required_profit=Decimal("0.02")),)
