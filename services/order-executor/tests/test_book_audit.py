"""The audit finds what the plainest audit finds, reads what is new alone, and stops trading."""

import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import BookAudit, Discrepancy, verify
from streamdesk.order_executor.adapters.ledger.audit.book_audit import FULL_CHECK_SECONDS
from streamdesk.order_executor.adapters.ledger.audit.replay import half_even
from streamdesk.order_executor.adapters.paper_broker import Faults
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.errors import BrokerUnavailableError
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.money import cents
from tests.plain_audit import plain_verify

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
SYMBOLS = ["AAPL.US", "MSFT.US", "700.HK", "5.HK", "NVDA.US"]
BOOKS = 3
LEDGER_NUMBERS = [
    ("balances", "amount"), ("balances", "opening"), ("conversions", "to_amount"),
    ("conversions", "from_amount"), ("account", "realized_pnl"), ("account", "initial_cash"),
    ("account", "fx_gain"), ("fills", "fx_gain"), ("fills", "conversion_cost"),
    ("positions", "local_cost"), ("round_trips", "profit"),
    ("fills", "price"), ("fills", "fee"), ("fills", "rate"), ("fills", "quantity"),
    ("fills", "cash_amount"), ("fills", "realized_pnl"),
    ("orders", "filled_quantity"), ("orders", "quantity"), ("orders", "limit_price"),
    ("positions", "quantity"), ("positions", "cost"), ("positions", "stop_loss"),
]  # fmt: skip
PAPER_NUMBERS = [("paper_trades", name) for name in ("price", "fee", "quantity")]
LEDGER_CHANGES = [
    "DELETE FROM fills WHERE rowid = {row}",
    "DELETE FROM positions WHERE rowid = {row}",
    "DELETE FROM reservations WHERE rowid = {row}",
    "DELETE FROM fills; DELETE FROM reservations; DELETE FROM positions; DELETE FROM orders",
    "UPDATE orders SET state = 'ACCEPTED' WHERE rowid = {row}",
    "UPDATE orders SET state = 'FILLED' WHERE rowid = {row}",
    "UPDATE orders SET state = 'REJECTED' WHERE rowid = {row}",
    "UPDATE orders SET broker_order_id = 'nobody-knows' WHERE rowid = {row}",
    "UPDATE orders SET signal_id = NULL WHERE rowid = {row}",
    "UPDATE signals SET refusal_code = 'LATE' WHERE rowid = {row}",
    "UPDATE signals SET refusal_code = NULL WHERE rowid = {row}",
]
PAPER_CHANGES = [
    "DELETE FROM paper_trades WHERE rowid = {row}",
    "DELETE FROM paper_orders WHERE id = {row}",
    "UPDATE paper_orders SET state = 'CANCELED' WHERE id = {row}",
]


async def trade(executor: OrderExecutor, signal_of: SignalOf, seed: int, first: int = 0) -> None:
    """Thirty signals, some of which are refused, here or by the broker."""
    dice = random.Random(seed)
    for minute in range(first, first + 30):
        signal = signal_of(
            dice.choice(SYMBOLS),
            dice.choice(["BUY", "SELL"]),
            minute,
            score=dice.choice([10, 65, 80]),
            price=round(dice.uniform(20, 200), 2),
            stop_loss=dice.choice([None, 1.0]),
        )
        await executor.on_signal(f"signal-{minute}", signal)


def urls(folder: Path) -> dict[str, str]:
    return {
        "ledger_url": f"sqlite:///{folder / 'ledger.db'}",
        "paper_broker_url": f"sqlite:///{folder / 'paper.db'}",
    }


def refusing(seed: int, is_down: Callable[[], bool]) -> Faults:
    """A broker that refuses now and then, and that cannot be reached at the end."""
    dice = random.Random(seed)

    async def before_accept(_: str) -> None:
        if is_down():
            raise BrokerUnavailableError("no line")

    return Faults(before_accept, refuse=lambda _: ("NO", "no") if dice.random() < 0.1 else None)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [tmp_path_factory.mktemp(f"books-{number}") for number in range(BOOKS)]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[OrderExecutor]:
    async with OrderExecutor(Settings.model_validate(urls(folder))) as executor:
        yield executor


async def fill(folder: Path, signal_of: SignalOf, seed: int) -> None:
    """Trade until the books hold something of everything, an order that is not done last."""
    made, minute = Settings.model_validate(urls(folder)), 30
    down = False
    async with OrderExecutor(made, faults=refusing(seed, lambda: down)) as executor:
        await trade(executor, signal_of, seed)
        down = True
        while executor.gate.is_open:
            await executor.on_signal(f"signal-{minute}", signal_of("KO.US", "BUY", minute))
            minute += 1


def corrupt(folder: Path, changes: Sequence[tuple[str, str, int, int]]) -> None:
    """Change what is kept, as a bug or a person at the database would."""
    for name, change, row, amount in changes:
        with closing(sqlite3.connect(folder / f"{name}.db")) as database, database:
            database.executescript(change.format(row=row, amount=amount))


def numbers(name: str, columns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    form = "UPDATE {0} SET {1} = {1} + {{amount}} WHERE rowid = {{row}}"
    return [(name, form.format(table, column)) for table, column in columns]


CHANGES = [
    *numbers("ledger", LEDGER_NUMBERS),
    *numbers("paper", PAPER_NUMBERS),
    *(("ledger", change) for change in LEDGER_CHANGES),
    *(("paper", change) for change in PAPER_CHANGES),
]


def comparable(found: Sequence[Discrepancy]) -> Counter[tuple[str, object, object]]:
    """Findings without what the two audits word differently."""
    names: Counter[tuple[str, object, object]] = Counter()
    for item in found:
        if "signal" in item.what:
            names["signals", "", ""] = 1
        elif item.what.endswith("within its limit"):
            names[item.what, "", ""] += 1
        else:
            names[item.what, item.expected, item.found] += 1
    return names


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    number=st.integers(0, BOOKS - 1),
    changes=st.lists(
        st.tuples(
            st.sampled_from(CHANGES), st.integers(1, 20), st.sampled_from([1, 7, 1_000_000])
        ).map(lambda drawn: (*drawn[0], *drawn[1:])),
        max_size=4,
    ),
)
async def test_it_finds_what_the_plainest_audit_finds_in_books_that_were_changed_anywhere(
    books: list[Path],
    signal_of: SignalOf,
    number: int,
    changes: list[tuple[str, str, int, int]],
) -> None:
    whole = books[number]
    if not (whole / "ledger.db").exists():
        await fill(whole, signal_of, number)
    with tempfile.TemporaryDirectory() as name:
        for file in whole.iterdir():
            shutil.copy(file, name)
        corrupt(Path(name), changes)
        async with opened(Path(name)) as executor:
            plain = await plain_verify(executor.ledger, await executor.broker.all_reports())
            found = await verify(executor.ledger, executor.broker)
            assert comparable(found) == comparable(plain)
            if not changes:
                assert plain == []


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**9))
def test_whole_numbers_are_rounded_as_amounts_are(numerator: int, denominator: int) -> None:
    rounded = cents(Decimal(numerator) / denominator / 100)
    assert half_even(numerator, denominator) == int(rounded * 100)


async def test_after_a_clean_check_only_what_is_new_is_read(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    audit = BookAudit(executor.ledger, executor.broker)
    first = 0
    for seed in range(4):
        await trade(executor, signal_of, seed, first)
        checked = await audit.check()
        assert (checked.findings, checked.is_full) == ([], seed == 0)
        assert (await verify(executor.ledger, executor.broker)) == []
        first += 30


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("UPDATE balances SET amount = amount + 1", "USD balance"),
        ("UPDATE fills SET cash_amount = cash_amount + 1 WHERE booking = {last}", "fill sd-"),
        ("UPDATE orders SET filled_quantity = filled_quantity + 1 WHERE {newest}", " filled"),
        ("UPDATE orders SET state = 'ACCEPTED' WHERE {newest}", " holds a reservation"),
        ("UPDATE paper_trades SET price = price + 1 WHERE {newest}", "trade sd-"),
    ],
)
async def test_a_check_of_what_is_new_finds_what_is_wrong_in_it_and_the_next_reads_everything(
    change: str, name: str, executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    audit = BookAudit(executor.ledger, executor.broker)
    await executor.on_signal("signal-0", signal_of("MSFT.US"))
    assert (await audit.check()).findings == []
    await executor.on_signal("signal-1", signal_of("AAPL.US", minute=1))
    databases = executor.ledger.database, executor.broker._database

    def work(connection: Connection) -> None:
        last = "(SELECT max(booking) FROM fills)"
        newest = (
            "client_order_id = (SELECT max(client_order_id) FROM orders WHERE symbol='AAPL.US')"
        )
        if "paper" in change:
            newest = newest.replace("orders", "paper_orders")
        connection.execute(text(change.format(last=last, newest=newest)))

    await databases["paper" in change].write(work)
    checked = await audit.check()
    assert not checked.is_full
    assert any(name in item.what for item in checked.findings), checked.findings
    again = await audit.check()
    assert again.is_full
    assert set(map(str, again.findings)) >= set(map(str, checked.findings))


async def test_an_old_figure_that_is_changed_later_is_found_within_a_day(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    now = 1_000.0
    executor = await executor_of()
    audit = BookAudit(executor.ledger, executor.broker, clock=lambda: now)
    await executor.on_signal("signal-0", signal_of())
    assert (await audit.check()).findings == []
    await executor.ledger.database.write(
        lambda connection: connection.execute(text("UPDATE fills SET fee = fee + 10000"))
    )
    assert (await audit.check()).findings == []
    now += FULL_CHECK_SECONDS
    assert (await audit.check()).findings


async def test_books_that_are_traded_in_meanwhile_show_no_difference(
    executor_of: ExecutorOf, signal_of: SignalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "streamdesk.order_executor.adapters.ledger.audit"
    for name in ("replay", "orders", "broker_reports", "signals"):
        monkeypatch.setattr(f"{module}.{name}.SLICE", 2)
    executor = await executor_of()
    await trade(executor, signal_of, 1)
    audit, first = BookAudit(executor.ledger, executor.broker), 30

    async def between(*_: Any) -> None:
        nonlocal first
        if first < 60:
            first += 1
            side = "BUY" if first % 2 else "SELL"
            await executor.on_signal(f"signal-{first}", signal_of("AAPL.US", side, first))

    read = executor.ledger.database.read

    async def read_and_trade(work: Callable[[Connection], Any]) -> Any:
        found = await read(work)
        monkeypatch.setattr(executor.ledger.database, "read", read)
        await between()
        monkeypatch.setattr(executor.ledger.database, "read", read_and_trade)
        return found

    monkeypatch.setattr(executor.ledger.database, "read", read_and_trade)
    assert (await audit.check()).findings == []
    monkeypatch.setattr(executor.ledger.database, "read", read)
    assert first == 60
    assert (await audit.check()).findings == []
