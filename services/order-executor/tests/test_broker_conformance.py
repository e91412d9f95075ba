"""The brokers that there are, held against what every broker must do."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, insert, select, update

from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.paper_broker import (
    ORDERS,
    PAPER,
    TRADES,
    Faults,
    PaperBroker,
)
from streamdesk.trading.orders import BrokerReport, Intent, OrderState
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
    """The paper broker on a market that has less than is asked for: a part of each order rests."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.portion = Decimal(1)
        self.database: Database = self._database
        self.made: list[str] = []

    async def submit(self, intent: Intent) -> BrokerReport:
        if await self.query(intent.client_order_id) is not None:
            return await super().submit(intent)
        try:
            await super().submit(intent)
        finally:
            await self.database.write(lambda connection: self._rest(connection, intent))
            if await self.query(intent.client_order_id) is not None:
                self.made.append(intent.client_order_id)
        report = await self.query(intent.client_order_id)
        assert report is not None
        return report

    def _rest(self, connection: Connection, intent: Intent) -> None:
        part = int(intent.quantity * self.portion)
        mine = TRADES.c.client_order_id == intent.client_order_id
        first = connection.execute(select(TRADES).where(mine)).mappings().first()
        if part == intent.quantity or first is None:
            return
        connection.execute(delete(TRADES).where(mine))
        self.add(connection, dict(first), part)
        there = ORDERS.c.client_order_id == intent.client_order_id
        connection.execute(update(ORDERS).where(there).values(state=OrderState.ACCEPTED))

    @staticmethod
    def add(connection: Connection, like: dict[str, Any], quantity: int) -> None:
        """A trade as this one, of so many shares."""
        number = connection.execute(select(func.count()).select_from(TRADES)).scalar_one()
        del like["sequence"]
        values = like | {"trade_id": f"{like['trade_id']}-{number}", "quantity": quantity}
        connection.execute(insert(TRADES).values(**values))


class PaperVenue:
    """The paper broker, with its faults."""

    def __init__(self, url: str) -> None:
        self._on_submit: Exception | None = None
        self._on_answer: Exception | None = None
        faults = Faults(before_accept=self._before, after_accept=self._after)
        self.broker = RestingPaperBroker(
            Database(url, PAPER),
            Policy(),
            Decimal(10),
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

    def rest(self, portion: Decimal) -> None:
        self.broker.portion = portion

    async def fill(self, client_order_id: str) -> None:
        def work(connection: Connection) -> None:
            there = ORDERS.c.client_order_id == client_order_id
            order = connection.execute(select(ORDERS).where(there)).mappings().one()
            mine = TRADES.c.client_order_id == client_order_id
            trades = connection.execute(select(TRADES).where(mine)).mappings().all()
            left = order["quantity"] - sum(trade["quantity"] for trade in trades)
            self.broker.add(connection, dict(trades[0]), left)
            if order["state"] == OrderState.ACCEPTED:
                connection.execute(update(ORDERS).where(there).values(state=OrderState.FILLED))

        await self.broker.database.write(work)

    def lose_answer(self) -> None:
        self._on_answer = LOST

    def cut(self) -> None:
        self._on_submit = CUT

    async def forget(self, client_order_id: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(TRADES).where(TRADES.c.client_order_id == client_order_id))
            connection.execute(delete(ORDERS).where(ORDERS.c.client_order_id == client_order_id))

        await self.broker.database.write(work)

    async def reports(self) -> list[BrokerReport]:
        return await self.broker.all_reports()

    async def made(self, client_order_id: str) -> int:
        return self.broker.made.count(client_order_id)


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
