import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import REGISTRY
from sqlalchemy import update
from structlog.testing import capture_logs

from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import Discrepancy, Findings, verify
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT, FILLS
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.entrypoints.schedule import keep_checked
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import Drain

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]


def check_of(executor: OrderExecutor) -> BookCheck:
    return BookCheck(lambda: verify(executor.ledger), executor.verify, second_look_seconds=0)


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
            lambda c: c.execute(update(ACCOUNT).values(cash=amount))
        )

    await keep(cash + 1)
    with capture_logs() as logs:
        own, broker = await check.check()
        await check.check()
        assert shown() == (len(own), 0)
        await keep(cash)
        await check.check()
    assert "cash" in [item.what for item in own]
    assert broker == []
    assert shown() == (0, 0)
    assert [line["event"] for line in logs] == ["the books differ", "the books agree again"]


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


async def test_a_difference_that_the_second_look_does_not_find_is_none() -> None:
    looks = [Findings([Discrepancy("cash", 1, 2), Discrepancy("gain", 1, 2)]), Findings()]

    async def moving() -> Findings:
        return looks.pop(0) if looks else Findings()

    async def still() -> Findings:
        return Findings()

    check = BookCheck(moving, still, second_look_seconds=0)
    assert await check.check() == ([], [])
    assert shown() == (0, 0)


async def test_the_first_check_waits_for_the_books_to_be_reconciled(
    executor_of: ExecutorOf,
) -> None:
    executor = await executor_of()
    looked = asyncio.Event()

    async def look() -> Findings:
        assert executor.gate.is_open
        looked.set()
        return Findings()

    drain = Drain()
    running = asyncio.create_task(
        keep_checked(BookCheck(look, look), lambda: executor.gate.is_open, 3_600, drain)
    )
    await asyncio.sleep(0)
    assert not looked.is_set()
    await executor.reconciliation.reconcile()
    async with asyncio.timeout(60):
        await looked.wait()
    drain.request()
    await running
