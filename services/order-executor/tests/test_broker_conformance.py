"""The brokers that there are, held against what every broker must do."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert

from streamdesk.contracts.events import BarClosed
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.paper_broker import (
    BOOK,
    ORDERS,
    PAPER,
    TRADES,
    Faults,
    PaperBroker,
)
from streamdesk.trading.exchange import ExchangeRules
from streamdesk.trading.orders import BrokerReport, Intent
from streamdesk.trading.policy import Policy
from streamdesk.trading.rates import RateBook
from tests.broker_conformance import BrokerConformance, Venue
from tests.resting_broker import CUT, LOST, RestingBroker


class RestingVenue:
    """The broker of the other tests: what they rely on is what a broker does."""

    def __init__(self) -> None:
        self.broker = RestingBroker()
        self.broker.portion = Decimal(1)

    def rest(self, portion: Decimal) -> None:
        self.broker.portion = portion

    async def fill(self, client_order_id: str) -> None:
        self.broker.fill(client_order_id)

    def lose_answer(self) -> None:
        self.broker.after = LOST

    def cut(self) -> None:
        self.broker.before = CUT

    async def forget(self, client_order_id: str) -> None:
        self.broker.forgotten.add(client_order_id)

    async def reports(self) -> list[BrokerReport]:
        return self.broker.reports()

    async def made(self, client_order_id: str) -> int:
        return self.broker.book.made[client_order_id]


class RestingPaperBroker(PaperBroker):
    """The paper broker on a market that trades a part of each order at once, and no more."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.portion = Decimal(1)
        self.database: Database = self._database
        self.made: list[str] = []
        self._seconds = 0

    async def submit(self, intent: Intent) -> BrokerReport:
        is_new = await self.query(intent.client_order_id) is None
        try:
            await super().submit(intent)
        finally:
            if is_new and await self.query(intent.client_order_id) is not None:
                self.made.append(intent.client_order_id)
                await self.trade(intent, int(intent.quantity * self.portion))
        report = await self.query(intent.client_order_id)
        assert report is not None
        return report

    async def trade(self, intent: Intent, shares: int) -> None:
        """Let a second pass in which so many shares trade at the order's price."""
        self._seconds += 1
        price = float(intent.reference_price)
        bar = BarClosed(
            symbol=intent.symbol,
            timestamp=intent.as_of + timedelta(seconds=self._seconds),
            interval_seconds=1,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=shares,
        )
        await self.on_bar(bar)


class PaperVenue:
    """The paper broker, with its faults."""

    def __init__(self, url: str) -> None:
        self._on_submit: Exception | None = None
        self._on_answer: Exception | None = None
        self._intents: dict[str, Intent] = {}
        faults = Faults(before_accept=self._before, after_accept=self._after, refuse=self._remember)
        policy = Policy()
        rules = ExchangeRules(
            fees=lambda market, at: policy.fees[market].at(at), volume_share=Decimal(1)
        )
        self.broker = RestingPaperBroker(
            Database(url, PAPER),
            policy.instruments,
            rules,
            faults,
            opening_balances={"USD": Decimal(1_000_000)},
            rates=RateBook("USD", {"HKD": Decimal("0.128")}),
        )

    async def _before(self, _: str) -> None:
        error, self._on_submit = self._on_submit, None
        if error is not None:
            raise error

    async def _after(self, _: str) -> None:
        error, self._on_answer = self._on_answer, None
        if error is not None:
            raise error

    def _remember(self, intent: Intent) -> None:
        self._intents[intent.client_order_id] = intent

    def rest(self, portion: Decimal) -> None:
        self.broker.portion = portion

    async def fill(self, client_order_id: str) -> None:
        report = await self.broker.query(client_order_id)
        assert report is not None
        if report.state.is_done:
            await self.broker.database.write(lambda connection: _trade_late(connection, report))
        else:
            intent = self._intents[client_order_id]
            await self.broker.trade(intent, intent.quantity)

    def lose_answer(self) -> None:
        self._on_answer = LOST

    def cut(self) -> None:
        self._on_submit = CUT

    async def forget(self, client_order_id: str) -> None:
        def work(connection: Connection) -> None:
            for table in (BOOK, TRADES, ORDERS):
                there = table.c.client_order_id == client_order_id
                connection.execute(delete(table).where(there))

        await self.broker.database.write(work)

    async def reports(self) -> list[BrokerReport]:
        return await self.broker.all_reports()

    async def made(self, client_order_id: str) -> int:
        return self.broker.made.count(client_order_id)


def _trade_late(connection: Connection, report: BrokerReport) -> None:
    """A trade from before the order's end, for all that was left of it, is known only now."""
    first, ordered = report.trades[0], report.quantity or 0
    left = ordered - sum(trade.quantity for trade in report.trades)
    values = {
        name: getattr(first, name) for name in ("client_order_id", "price", "fee", "currency")
    }
    values |= {"trade_id": f"{first.trade_id}-late", "quantity": left}
    connection.execute(insert(TRADES).values(**values))


class TestRestingBroker(BrokerConformance):
    """The tests' own broker."""

    @pytest.fixture
    def venue(self) -> Venue:
        return RestingVenue()


class TestPaperBroker(BrokerConformance):
    """The paper broker."""

    @pytest.fixture
    async def venue(self, settings_of: Any) -> AsyncIterator[Venue]:
        venue = PaperVenue(settings_of("venue").paper_broker_url.get_secret_value())
        await venue.broker.open()
        yield venue
        await venue.broker.close()
