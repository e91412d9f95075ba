import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, select, text

from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.database import Database, TableSet
from streamdesk.order_executor.adapters.database.migrations.ledger import v0006_fx_gain
from streamdesk.order_executor.adapters.database.upgrade import BEFORE_MIGRATIONS, current
from streamdesk.order_executor.adapters.ledger.schema import LEDGER, ROUND_TRIPS
from streamdesk.order_executor.adapters.paper_broker import PAPER
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import BadSettingError
from tests.market import QuickMarket

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
SettingsOf = Callable[..., Settings]
DatabasesOf = Callable[[str], dict[str, str]]

PROCESSES = 10


def run_python(urls: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name.upper(): url for name, url in urls.items()} | {"LOG_FORMAT": "json"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


async def test_ten_processes_that_start_together_make_the_tables_once(
    databases_of: DatabasesOf, executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    script = str(Path(__file__).with_name("together.py"))
    result = run_python(databases_of("account"), script, str(PROCESSES))
    *lines, codes = result.stdout.splitlines()
    assert codes == str([0] * PROCESSES), result.stdout + result.stderr
    assert sum('"tables brought up to date"' in line for line in lines) == 2  # two sets of tables
    assert sum('"tables are up to date"' in line for line in lines) == PROCESSES
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    assert await executor.verify() == []


def test_migrate_makes_folder_and_tables_and_ends(tmp_path: Path) -> None:
    urls = {
        "ledger_url": f"sqlite:///{tmp_path / 'new' / 'ledger.db'}",
        "paper_broker_url": f"sqlite:///{tmp_path / 'new' / 'paper.db'}",
    }
    result = run_python(urls, "-m", "streamdesk.order_executor", "migrate")
    assert result.returncode == 0, result.stderr
    with closing(sqlite3.connect(tmp_path / "new" / "ledger.db")) as ledger:
        assert ledger.execute("SELECT count(*) FROM account").fetchone() == (1,)


@pytest.mark.parametrize("tables", [LEDGER, PAPER], ids=lambda tables: tables.name)
async def test_the_steps_make_the_tables_that_the_code_describes(
    executor_of: ExecutorOf, tables: TableSet
) -> None:
    executor = await executor_of()
    database = executor.ledger.database if tables is LEDGER else executor.broker._database

    def differences(connection: Connection) -> list[Any]:
        def is_ours(name: str | None, kind: str, _: Any) -> bool:
            return kind != "table" or name in tables.metadata.tables

        options = {"compare_type": True, "include_name": is_ours}
        context = MigrationContext.configure(connection, opts=options)
        found: list[Any] = compare_metadata(context, tables.metadata)
        return found

    assert await database.read(differences) == []


def restore(urls: dict[str, str], **renamed: str) -> None:
    """The databases of an account as the last version without migrations left them.

    Args:
        urls: of the ledger and the paper broker.
        renamed: other names of its instruments AAPL and MSFT.
    """
    for name, url in zip(("ledger", "paper"), urls.values(), strict=True):
        dump = Path(__file__).with_name(f"before_migrations_{name}.sql").read_text()
        for before, after in renamed.items():
            dump = dump.replace(f"'{before}.US'", f"'{after}.US'")
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            database.executescript(dump)


async def test_positions_of_a_ledger_without_round_trips_are_worked_out_from_its_fills(
    sqlite_of: DatabasesOf,
) -> None:
    urls = sqlite_of("old")
    restore(urls)
    async with OrderExecutor(Settings.model_validate(urls)) as executor:

        def trips(connection: Connection) -> list[tuple[str, str, bool | None]]:
            found = connection.execute(select(ROUND_TRIPS).order_by(ROUND_TRIPS.c.by_stop))
            return [(row.symbol, str(row.profit), row.by_stop) for row in found]

        still_open, closed = await executor.ledger.database.read(trips)
        gain = str((await executor.ledger.portfolio()).realized_pnl)
        assert closed == ("AAPL.US", gain, False)
        assert still_open == ("700.HK", "0.00", None)


def run_sql(url: str, *statements: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        for statement in statements:
            database.execute(statement)


async def test_a_ledger_made_before_there_were_migrations_is_adopted_with_all_that_is_in_it(
    sqlite_of: DatabasesOf, signal_of: SignalOf
) -> None:
    urls = sqlite_of("old")
    restore(urls)
    async with OrderExecutor(Settings.model_validate(urls)) as executor:
        assert await executor.digest() == (
            "89f89684dec11efe8b813e1970383aab74b969f91ede4f1781c371aa74b4794e"
        )
        assert await executor.verify() == []
        await executor.on_signal("signal-1", signal_of())  # has its order
        await executor.on_signal("signal-5", signal_of("MSFT.US", minute=9))
        assert len(await executor.broker.all_reports()) == 4
        assert await executor.verify() == []
        steps = await executor.ledger.database.read(lambda it: current(it, LEDGER))
        assert (steps or "") > BEFORE_MIGRATIONS  # with every later step


BEFORE_FX_GAIN = (
    "UPDATE fills SET realized_pnl = realized_pnl + fx_gain",
    "UPDATE account SET realized_pnl = realized_pnl + fx_gain",
    *(
        f"ALTER TABLE {column.replace('.', ' DROP COLUMN ')}"
        for column in ("account.fx_gain", "fills.fx_gain", "fills.conversion_cost",
                       "positions.local_cost")
    ),
)  # fmt: skip


def work_out_fx_gain(url: str) -> None:
    """Take that step alone: the tables have had every later one."""
    engine = create_engine(url)
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        v0006_fx_gain.upgrade()
    engine.dispose()


async def test_the_currencys_gain_is_worked_out_of_the_fills_of_an_older_ledger(
    sqlite_of: DatabasesOf, signal_of: SignalOf
) -> None:
    urls = sqlite_of("old")
    steps = [
        ("0.1275", "BUY", "700.HK", 100.0),
        ("0.1290", "SELL", "700.HK", 120.0),
        ("0.1281", "BUY", "AAPL.US", 100.0),
        ("0.1288", "BUY", "9992.HK", 200.0),
        ("0.1276", "SELL", "AAPL.US", 90.0),
        ("0.1276", "BUY", "700.HK", 99.0),
    ]
    for minute, (rate, side, symbol, price) in enumerate(steps):
        more = {"usd_per_hkd": rate, "sessions": False, "paper_volume_share_percent": 0}
        settings = Settings.model_validate(urls | more)
        async with QuickMarket(settings) as executor:
            await executor.on_signal(f"s-{minute}", signal_of(symbol, side, minute, price=price))
            digest = await executor.digest()
    run_sql(urls["ledger_url"], *BEFORE_FX_GAIN)
    work_out_fx_gain(urls["ledger_url"])
    async with OrderExecutor(settings) as executor:
        assert await executor.digest() == digest
        assert await executor.verify() == []
        assert (await executor.ledger.portfolio()).realized_fx_gain > 0


async def test_the_cash_of_an_older_ledger_is_in_the_accounts_currency_with_its_conversions(
    sqlite_of: DatabasesOf, signal_of: SignalOf
) -> None:
    urls = sqlite_of("old")
    restore(urls)
    with closing(sqlite3.connect(urls["ledger_url"].removeprefix("sqlite:///"))) as database:
        [(cents,)] = database.execute("SELECT cash FROM account").fetchall()
    more = {"sessions": False, "paper_volume_share_percent": 0}
    async with QuickMarket(Settings.model_validate(urls | more)) as executor:
        balances = await executor.ledger.balances()
        assert balances == {"USD": Decimal(cents) / 100, "HKD": 0}
        assert await executor.broker.balances() == balances
        bought = [item.conversion for _, item in await executor.ledger.conversions_after()]
        [position] = (await executor.ledger.portfolio()).holdings.values()
        assert sum(item.to_amount for item in bought) == position.local_cost
        assert sum(item.from_amount for item in bought) == position.cost
        # What is sold from now on stays in its currency.
        await executor.on_signal("sell", signal_of("700.HK", "SELL", minute=9))
        assert (await executor.ledger.balances())["HKD"] > 0
        assert await executor.verify() == []


async def test_what_was_traded_in_another_spelling_is_renamed_with_its_books(
    sqlite_of: DatabasesOf,
) -> None:
    urls = sqlite_of("old")
    restore(urls, AAPL="BRK-B")
    run_sql(urls["ledger_url"], "UPDATE positions SET symbol = 'BRK-B.US'")
    async with OrderExecutor(Settings.model_validate(urls)) as executor:
        reports = await executor.broker.all_reports()
        orders = [await executor.ledger.order(report.client_order_id) for report in reports]
        symbols = {order.intent.symbol for order in orders if order is not None}
        assert "BRK.B.US" in symbols
        assert not any("-" in symbol for symbol in symbols)
        assert list((await executor.ledger.portfolio()).holdings) == ["BRK.B.US"]


async def test_two_spellings_that_were_traded_as_two_instruments_keep_two_books(
    sqlite_of: DatabasesOf,
) -> None:
    urls = sqlite_of("old")
    restore(urls, AAPL="BRK-B", MSFT="BRK.B")
    run_sql(urls["ledger_url"], "UPDATE orders SET symbol = 'BRK.B.US' WHERE symbol = '700.HK'")
    run_sql(urls["ledger_url"], "UPDATE positions SET symbol = 'BRK.B.US'")
    async with OrderExecutor(Settings.model_validate(urls)) as executor:
        assert not [found for found in await executor.verify() if "BRK-B.US" in found.what]


async def test_an_open_position_of_a_second_spelling_is_refused_with_what_to_do(
    sqlite_of: DatabasesOf,
) -> None:
    urls = sqlite_of("old")
    restore(urls, AAPL="BRK-B")
    run_sql(urls["ledger_url"], "UPDATE orders SET symbol = 'BRK.B.US' WHERE symbol = '700.HK'")
    run_sql(urls["ledger_url"], "UPDATE positions SET symbol = 'BRK-B.US'")
    with pytest.raises(BadSettingError, match=r"BRK-B\.US and BRK\.B\.US were traded as two"):
        async with OrderExecutor(Settings.model_validate(urls)):
            pass


async def test_a_database_of_a_newer_version_is_refused(
    settings_of: SettingsOf, executor_of: ExecutorOf
) -> None:
    executor = await executor_of()

    def pretend(connection: Connection) -> None:
        connection.execute(text("UPDATE paper_version SET version_num = '9999'"))

    await executor.broker._database.write(pretend)
    with pytest.raises(BadSettingError, match=r"^PAPER_BROKER_URL=\(hidden\).*step 9999"):
        async with OrderExecutor(settings_of()):
            pass


async def test_an_upgrade_that_fails_half_way_leaves_nothing_behind(
    settings_of: SettingsOf,
) -> None:
    database = Database(settings_of().ledger_url.get_secret_value(), LEDGER)

    def fail(_: Connection) -> None:
        raise RuntimeError("killed")

    def tables(connection: Connection) -> Counter[str]:
        return Counter(inspect(connection).get_table_names())

    with pytest.raises(RuntimeError, match="killed"):
        await database.open(fail)
    assert await database.read(tables) == Counter()
    await database.close()
