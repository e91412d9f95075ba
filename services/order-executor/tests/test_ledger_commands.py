"""What the ledger's commands print, and that they change nothing."""

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.ledger.schema import BALANCES
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from tests.executor_command import command
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]
QUESTIONS = "orders", "fills", "positions", "cash", "equity"


def rows_of(ended: subprocess.CompletedProcess[str], kind: str) -> list[dict[str, Any]]:
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return [line["row"] for line in lines if line["kind"] == kind]


async def trade(executor: OrderExecutor, signal_of: SignalOf) -> RestingBroker:
    """One order that is half filled, one that rests, and a refusal."""
    broker = plug(executor, RestingBroker())
    broker.portion = Decimal("0.5")
    await executor.on_signal("signal-1", signal_of("AAPL.US", stop_loss=95.0))
    broker.portion = Decimal(0)
    await executor.on_signal("signal-2", signal_of("MSFT.US", minute=1))
    await executor.on_signal("signal-3", signal_of("MSFT.US", minute=2))
    return broker


async def test_the_answers_are_those_of_the_books_exact_and_with_their_currency(
    executor_of: ExecutorOf, signal_of: SignalOf, databases_of: DatabasesOf
) -> None:
    executor = await executor_of()
    await trade(executor, signal_of)
    ended = await command(databases_of, "ledger", *QUESTIONS)  # while the executor has it open
    portfolio = await executor.ledger.portfolio()
    first, second = rows_of(ended, "orders")
    assert [first["symbol"], first["state"]] == ["AAPL.US", "PARTIALLY_FILLED"]
    assert [second["symbol"], second["state"], second["average_price"]] == [
        "MSFT.US",
        "ACCEPTED",
        None,
    ]
    assert first["average_price"] == "100.00"
    assert first["created_at"].endswith("+00:00")
    (fill,) = rows_of(ended, "fills")
    assert (fill["client_order_id"], fill["symbol"]) == (first["client_order_id"], "AAPL.US")
    assert (fill["price"], fill["currency"], fill["fee"]) == ("100.00", "USD", "1.00")
    (held,) = rows_of(ended, "positions")
    assert held["quantity"] == fill["quantity"] == first["filled_quantity"]
    opening, bought = rows_of(ended, "cash")
    assert (opening["movement"], opening["balance"]) == ("OPENING", "1000000.00")
    assert (bought["movement"], bought["amount"]) == ("BUY", fill["cash_amount"])
    assert Decimal(bought["balance"]) == portfolio.cash
    (equity,) = rows_of(ended, "equity")
    assert Decimal(equity["equity"]) == portfolio.equity
    assert Decimal(equity["cash"]) + Decimal(equity["positions_value"]) == portfolio.equity
    assert (equity["currency"], equity["open_orders"]) == ("USD", 2)
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["kind"] == "report"
    assert report["orders"] == {"shown": 2, "there_are": 2}


async def test_a_symbol_in_any_spelling_a_time_and_a_limit_narrow_the_rows(
    executor_of: ExecutorOf, signal_of: SignalOf, databases_of: DatabasesOf
) -> None:
    await trade(await executor_of(), signal_of)
    newest = await command(databases_of, "ledger", "orders", "--limit", "1")
    assert [row["symbol"] for row in rows_of(newest, "orders")] == ["MSFT.US"]
    assert json.loads(newest.stdout.splitlines()[-1])["orders"] == {"shown": 1, "there_are": 2}
    named = await command(databases_of, "ledger", "orders", "cash", "--symbol", "aapl.us")
    assert [row["symbol"] for row in rows_of(named, "orders")] == ["AAPL.US"]
    assert [row["movement"] for row in rows_of(named, "cash")] == ["BUY"]
    later = await command(databases_of, "ledger", *QUESTIONS[:2], "--since", "2999-01-01T00:00Z")
    assert rows_of(later, "orders") + rows_of(later, "fills") == []


@pytest.mark.parametrize("questions", [QUESTIONS, ("check",)])
async def test_a_stopped_desks_files_are_read_and_none_is_made_or_changed(
    signal_of: SignalOf, sqlite_of: DatabasesOf, tmp_path: Path, questions: tuple[str, ...]
) -> None:
    settings = Settings.model_validate({**sqlite_of("account"), "sessions": False})
    async with OrderExecutor(settings) as executor:
        await executor.on_signal("signal-1", signal_of())
    folder = tmp_path / "account"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"ledger.db", "paper.db"}
    ended = await command(sqlite_of, "ledger", *questions)
    assert ended.returncode == 0, ended.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


async def test_the_check_says_balanced_or_what_differs(
    executor_of: ExecutorOf, signal_of: SignalOf, databases_of: DatabasesOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    ended = await command(databases_of, "ledger", "check")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"kind": "report", "balanced": True, "findings": []}
    await executor.ledger.database.write(
        lambda connection: connection.execute(update(BALANCES).values(amount=BALANCES.c.amount + 1))
    )
    ended = await command(databases_of, "ledger", "check")
    assert ended.returncode == 1, ended.stderr
    report = json.loads(ended.stdout)
    assert not report["balanced"]
    assert ("ledger", "USD balance") in {
        (item["book"], item["what"]) for item in report["findings"]
    }


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[:100] = b"x" * 100
    file.write_bytes(content)


@pytest.mark.parametrize("question", ["orders", "check"])
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda file: file.unlink(), "there is no file "),
        (damage, "is damaged: file is not a database; restore it from a backup"),
        (lambda file: file.write_bytes(file.read_bytes()[:9000]), "is damaged: "),
        (lambda file: file.write_bytes(b""), "the database has no ledger's tables"),
        (lambda file: (file.unlink(), file.mkdir()), "cannot be read: "),
    ],
)
async def test_a_ledger_that_cannot_be_read_is_one_line_that_says_what_to_do(
    sqlite_of: DatabasesOf,
    tmp_path: Path,
    question: str,
    fault: Callable[[Path], object],
    says: str,
) -> None:
    urls = sqlite_of("account")
    assert (await command(sqlite_of, "migrate")).returncode == 0
    file = Path(urls["ledger_url"].removeprefix("sqlite:///"))
    fault(file)
    names = sorted(path.name for path in (tmp_path / "account").iterdir())
    ended = await command(sqlite_of, "ledger", question)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("order-executor: ")
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "account").iterdir()) == names


async def test_a_ledger_that_is_kept_locked_is_one_line(sqlite_of: DatabasesOf) -> None:
    urls = sqlite_of("account")
    assert (await command(sqlite_of, "migrate")).returncode == 0
    file = urls["ledger_url"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE account SET moved = moved")
        ended = await command(sqlite_of, "ledger", "orders")
        other.execute("ROLLBACK")
    assert ended.returncode == 2
    assert "stayed locked by another process" in ended.stderr
    assert ended.stderr.count("\n") == 1


async def test_tables_of_another_step_are_refused_with_what_to_do(sqlite_of: DatabasesOf) -> None:
    urls = sqlite_of("account")
    assert (await command(sqlite_of, "migrate")).returncode == 0
    with closing(sqlite3.connect(urls["ledger_url"].removeprefix("sqlite:///"))) as other, other:
        other.execute("UPDATE ledger_version SET version_num = '0009'")
    ended = await command(sqlite_of, "ledger", "orders")
    assert ended.returncode == 2
    assert "the tables are at step 0009" in ended.stderr
    assert "start an executor" in ended.stderr


async def test_rows_are_of_one_moment_while_executors_write(
    executor_of: ExecutorOf, signal_of: SignalOf, databases_of: DatabasesOf
) -> None:
    executor = await executor_of()
    plug(executor, RestingBroker()).portion = Decimal(1)
    done = asyncio.Event()

    async def trade_on() -> int:
        number = 0
        while not done.is_set():
            symbol, side = "AAPL.US", "BUY" if number % 2 == 0 else "SELL"
            await executor.on_signal(f"signal-{number}", signal_of(symbol, side, minute=number))
            number += 1
        return number

    trading = asyncio.create_task(trade_on())
    try:
        answers = [await command(databases_of, "ledger", *QUESTIONS) for _ in range(3)]
    finally:
        done.set()
        made = await trading
    assert made > 1
    for ended in answers:
        orders = {row["client_order_id"]: row for row in rows_of(ended, "orders")}
        filled = {row["client_order_id"] for row in rows_of(ended, "fills")}
        assert filled == {name for name, row in orders.items() if row["filled_quantity"]}
        (equity,) = rows_of(ended, "equity")
        assert rows_of(ended, "cash")[-1]["balance"] == equity["cash"]
    assert rows_of(answers[-1], "orders")
