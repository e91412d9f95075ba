"""Rates by date: what an entry is held against, and what is recorded."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.ledger.schema import RATES, SIGNALS
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import BadSettingError

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
HEADER = "at,currency,rate,source\n"
A_DAY = 24 * 60


async def recorded(executor: OrderExecutor) -> list[tuple[str, str, str]]:
    def work(connection: Connection) -> list[tuple[str, str, str]]:
        found = connection.execute(select(RATES).order_by(RATES.c.at))
        return [(row.currency, str(row.rate), row.source) for row in found]

    return await executor.ledger.database.read(work)


async def refusal_of(executor: OrderExecutor, signal_id: str) -> str | None:
    query = select(SIGNALS.c.refusal_code).where(SIGNALS.c.signal_id == signal_id)
    return await executor.ledger.database.read(lambda it: it.execute(query).scalar_one())


def write(file: Path, text: str) -> None:
    file.write_text(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "rates.csv"
    write(file, f"{HEADER}2026-11-16,HKD,0.128,ECB\n")
    return file


async def test_an_entry_is_decided_at_the_rate_of_its_own_day(
    executor_of: ExecutorOf, signal_of: SignalOf, file: Path
) -> None:
    write(file, f"{HEADER}2026-11-16,HKD,0.128,ECB\n2026-11-21,HKD,0.129,ECB\n")
    executor = await executor_of(rates_file=file)
    await executor.on_signal("first", signal_of("700.HK", price=600.0))
    assert (await executor.ledger.portfolio()).rates.of("HKD") == Decimal("0.128")
    await executor.on_signal("second", signal_of("9992.HK", price=200.0, minute=A_DAY))
    portfolio = await executor.ledger.portfolio()
    assert portfolio.rates.of("HKD") == Decimal("0.129")
    assert len(portfolio.holdings) == 2
    assert await executor.verify() == []


async def test_without_a_present_rate_entries_are_refused_and_exits_are_not(
    executor_of: ExecutorOf, signal_of: SignalOf, file: Path
) -> None:
    executor = await executor_of(rates_file=file)
    await executor.on_signal("bought", signal_of("700.HK", price=600.0))
    late = 8 * A_DAY
    await executor.on_signal("hong-kong", signal_of("9992.HK", price=200.0, minute=late))
    # What is held in Hong Kong makes the equity unknown, whatever is bought.
    await executor.on_signal("us", signal_of(minute=late))
    await executor.on_signal("sold", signal_of("700.HK", "SELL", price=600.0, minute=late))
    codes = [await refusal_of(executor, name) for name in ("hong-kong", "us", "sold")]
    assert codes == ["RATE_UNKNOWN", "RATE_UNKNOWN", None]
    assert (await executor.ledger.portfolio()).holdings == {}
    assert await executor.verify() == []


async def test_a_file_that_changes_is_used_and_one_that_cannot_be_read_changes_nothing(
    executor_of: ExecutorOf, file: Path
) -> None:
    executor = await executor_of(rates_file=file)
    assert executor.rates_file is not None
    write(file, f"{HEADER}2026-11-16,HKD,0.1285,ECB\n2026-11-17,HKD,0.129,ECB\n")
    await executor.rates_file.follow()
    assert await recorded(executor) == [("HKD", "0.1285", "ECB"), ("HKD", "0.129", "ECB")]
    write(file, f"{HEADER}2026-11-18,HKD,7.8,ECB\n")
    await executor.rates_file.follow()
    assert executor.ledger.rates.at(None).of("HKD") == Decimal("0.129")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{HEADER}2026-11-16,HKD,7.8,ECB\n", "line 2: rate is '7.8'"),
        (f"{HEADER}2026-11-16,EUR,1.1,ECB\n", "a rate of HKD"),
    ],
)
async def test_an_executor_does_not_start_with_rates_that_it_cannot_use(
    executor_of: ExecutorOf, file: Path, text: str, says: str
) -> None:
    write(file, text)
    with pytest.raises(BadSettingError, match=says):
        await executor_of(rates_file=file)


async def test_the_setting_is_recorded_when_it_changes(executor_of: ExecutorOf) -> None:
    for rate in ("0.128", "0.128", "0.1285"):
        executor = await executor_of(usd_per_hkd=rate)
    assert await recorded(executor) == [
        ("HKD", "0.128", "setting"),
        ("HKD", "0.1285", "setting"),
    ]
