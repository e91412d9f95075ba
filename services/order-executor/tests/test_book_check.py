import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import REGISTRY
from sqlalchemy import text, update
from structlog.testing import capture_logs

from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import (
    BookAudit,
    Checked,
    Discrepancy,
    Findings,
)
from streamdesk.order_executor.adapters.ledger.schema import BALANCES, FILLS
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.application.trading_gate import TradingGate
from streamdesk.order_executor.entrypoints.schedule import keep_checked
from streamdesk.order_executor.errors import BrokerUnavailableError
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import Drain

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]


def check_of(executor: OrderExecutor) -> BookCheck:
    audit = BookAudit(executor.ledger, executor.broker)
    return BookCheck(audit, executor.gate, second_look_seconds=0)


def shown() -> tuple[float | None, float | None]:
    names = "ledger_discrepancies", "broker_discrepancies"
    own, broker = (REGISTRY.get_sample_value(name) for name in names)
    return own, broker


async def test_books_that_agree_show_nothing(executor_of: ExecutorOf, signal_of: SignalOf) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    with capture_logs() as logs:
        assert await check_of(executor).check() == ([], [])
    assert shown() == (0, 0)
    assert [line for line in logs if line["log_level"] == "error"] == []


async def test_a_ledger_that_does_not_follow_from_its_fills_is_shown_and_logged_once(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    cash = (await executor.ledger.portfolio()).cash
    check = check_of(executor)

    async def keep(amount: object) -> None:
        await executor.ledger.database.write(
            lambda c: c.execute(update(BALANCES).values(amount=amount))
        )

    await keep(cash + 1)
    with capture_logs() as logs:
        own, broker = await check.check()
        await check.check()
        assert shown() == (len(own), 0)
        await keep(cash)
        await check.check()
    assert "USD balance" in [item.what for item in own]
    assert broker == []
    assert shown() == (0, 0)
    events = [line["event"] for line in logs if line["event"].startswith("the books")]
    assert events == ["the books differ", "the books agree again"]


async def test_a_trade_that_the_ledger_lacks_differs_from_the_brokers_records(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    await executor.ledger.database.write(
        lambda c: c.execute(update(FILLS).values(price=FILLS.c.price + 1))
    )
    _, broker = await check_of(executor).check()
    assert broker
    assert (shown()[1] or 0) == len(broker)


class Looks:
    """An audit that finds what it is given, a look after the other; then nothing."""

    def __init__(self, *looks: Findings) -> None:
        self._looks = list(looks)
        self.looked = asyncio.Event()

    async def check(self) -> Checked:
        self.looked.set()
        return Checked(self._looks.pop(0) if self._looks else Findings(), Findings(), is_full=True)


def opened() -> TradingGate:
    gate = TradingGate()
    gate.open(gate.times_closed)
    return gate


async def test_a_difference_that_the_second_look_does_not_find_is_none() -> None:
    gate = opened()
    looks = Looks(Findings([Discrepancy("cash", 1, 2), Discrepancy("gain", 1, 2)]))
    assert await BookCheck(looks, gate, second_look_seconds=0).check() == ([], [])
    assert shown() == (0, 0)
    assert gate.is_open


async def test_a_difference_counts_though_trading_moved_both_figures_between_the_looks() -> None:
    moved = Discrepancy("cash", 900, 901)
    looks = Looks(Findings([Discrepancy("cash", 1_000, 1_001)]), Findings([moved]))
    assert await BookCheck(looks, opened(), second_look_seconds=0).check() == ([moved], [])


async def test_a_finding_holds_trading_whatever_is_reconciled_until_a_check_finds_nothing(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    check = check_of(executor)

    async def add(cents: int) -> None:
        await executor.ledger.database.write(
            lambda c: c.execute(text("UPDATE balances SET amount = amount + :it"), {"it": cents})
        )

    await add(1)
    await check.check()
    await executor.reconciliation.reconcile()
    assert not executor.gate.is_open
    assert "USD balance" in executor.gate.reason
    await check.check()
    assert not executor.gate.is_open
    await add(-1)
    await check.check()
    assert executor.gate.is_open
    assert executor.gate.reason == ""


def test_a_gate_that_is_held_opens_only_when_it_is_released_and_reconciled() -> None:
    gate = opened()
    gate.hold("the books differ")
    gate.close("an outcome is unknown")
    gate.release()
    assert (gate.is_open, gate.reason) == (False, "an outcome is unknown")
    gate.hold("the books differ")
    gate.open(gate.times_closed)
    assert (gate.is_open, gate.is_reconciled) == (False, True)
    gate.release()
    assert gate.is_open


async def test_books_are_checked_again_after_the_broker_could_not_be_reached() -> None:
    drain, failures = Drain(), 2

    class Unreachable(Looks):
        async def check(self) -> Checked:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise BrokerUnavailableError("no line")
            return await super().check()

    looks, gate = Unreachable(), opened()
    running = asyncio.create_task(keep_checked(BookCheck(looks, gate), lambda: True, 0.01, drain))
    async with asyncio.timeout(60):
        await looks.looked.wait()
    drain.request()
    await running
    assert gate.is_open


async def test_the_first_check_waits_for_the_books_to_be_reconciled(
    executor_of: ExecutorOf,
) -> None:
    executor, looks = await executor_of(), Looks()
    drain = Drain()
    check = BookCheck(looks, executor.gate)
    running = asyncio.create_task(
        keep_checked(check, lambda: executor.gate.is_reconciled, 3_600, drain)
    )
    await asyncio.sleep(0)
    assert not looks.looked.is_set()
    await executor.reconciliation.reconcile()
    async with asyncio.timeout(60):
        await looks.looked.wait()
    drain.request()
    await running
