"""A broker whose orders rest: a test says when what is filled, lost, cut or forgotten.

It keeps its records in memory, or in a file that outlives the process.
"""

import pickle
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.broker import Capabilities, TimeInForce, TradePage
from streamdesk.order_executor.errors import BrokerUnavailableError, OutcomeUnknownError
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.orders import BrokerReport, Intent, OrderState, Origin, Trade

FEE = Decimal(1)
LOST = OutcomeUnknownError("the line went dead")
CUT = BrokerUnavailableError("connection refused")


@dataclass
class Book:
    """What the broker knows.

    Attributes:
        made: how often an order of this id was made; more than once is what must never happen.
    """

    orders: dict[str, tuple[Intent, OrderState]] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    made: Counter[str] = field(default_factory=Counter)
    submitted: list[Intent] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)


class RestingBroker:
    """Fills `portion` of each order at once; the rest works until a test fills it.

    Attributes:
        portion: of a new order, filled at once.
        rejections: so many orders to come are refused.
        before, after: raised by the next `submit` before, or after, the order is made.
        before_cancel, after_cancel: the same of `cancel`.
        cancels_late: a cancel is only taken; `end_cancels` carries it out.
        slip: added to the price of each trade.
        names_fees_later: trades have no fee until `name_fees`.
        forgotten: ids that are not known any more.
        now: its clock; None for the real one.
    """

    def __init__(
        self, file: Path | None = None, *, idempotency_seconds: float | None = None
    ) -> None:
        self._file = file
        self.book = Book() if file is None or not file.exists() else _load(file)
        self.capabilities = Capabilities(
            holds_brackets=False,
            replaces=True,
            idempotency_seconds=idempotency_seconds,
            times_in_force=frozenset({TimeInForce.DAY}),
        )
        self.portion = Decimal(0)
        self.rejections = 0
        self.before: Exception | None = None
        self.after: Exception | None = None
        self.before_cancel: Exception | None = None
        self.after_cancel: Exception | None = None
        self.cancels_late = False
        self.slip = Decimal(0)
        self.names_fees_later = False
        self.forgotten: set[str] = set()
        self.now: datetime | None = None

    def _save(self) -> None:
        if self._file is not None:
            new = self._file.with_suffix(".new")
            new.write_bytes(pickle.dumps(self.book))
            new.replace(self._file)

    async def submit(self, intent: Intent) -> BrokerReport:
        error, self.before = self.before, None
        if error is not None:
            raise error
        self.book.submitted.append(intent)
        order_id = intent.client_order_id
        if order_id not in self.book.orders or order_id in self.forgotten:
            self.forgotten.discard(order_id)
            self.book.made[order_id] += 1
            self.book.orders[order_id] = intent, OrderState.ACCEPTED
            if self.rejections:
                self.rejections -= 1
                self.book.orders[order_id] = intent, OrderState.REJECTED
            elif quantity := int(intent.quantity * self.portion):
                self.fill(order_id, quantity)
        self._save()
        error, self.after = self.after, None
        if error is not None:
            raise error
        return self.report(order_id)

    async def cancel(self, client_order_id: str) -> BrokerReport | None:
        error, self.before_cancel = self.before_cancel, None
        if error is not None:
            raise error
        if client_order_id not in self.book.orders or client_order_id in self.forgotten:
            return None
        self.book.canceled.append(client_order_id)
        intent, state = self.book.orders[client_order_id]
        if not self.report(client_order_id).state.is_done:
            state = OrderState.PENDING_CANCEL if self.cancels_late else OrderState.CANCELED
            self.book.orders[client_order_id] = intent, state
        self._save()
        error, self.after_cancel = self.after_cancel, None
        if error is not None:
            raise error
        return self.report(client_order_id)

    def end_cancels(self) -> None:
        """Carry out every cancel that was only taken."""
        for order_id, (intent, state) in self.book.orders.items():
            if state is OrderState.PENDING_CANCEL:
                self.book.orders[order_id] = intent, OrderState.CANCELED

    async def replace(self, client_order_id: str, limit_price: Decimal) -> BrokerReport | None:
        if client_order_id not in self.book.orders or client_order_id in self.forgotten:
            return None
        intent, state = self.book.orders[client_order_id]
        if not self.report(client_order_id).state.is_done:
            self.book.orders[client_order_id] = replace(intent, limit_price=limit_price), state
        return self.report(client_order_id)

    async def query(self, client_order_id: str) -> BrokerReport | None:
        known = client_order_id in self.book.orders and client_order_id not in self.forgotten
        return self.report(client_order_id) if known else None

    async def open_orders(self) -> tuple[BrokerReport, ...]:
        return tuple(report for report in self.reports() if not report.state.is_done)

    async def positions(self) -> Mapping[str, int]:
        held: dict[str, int] = defaultdict(int)
        for trade in self.book.trades:
            intent, _ = self.book.orders[trade.client_order_id]
            sign = 1 if intent.side is Side.BUY else -1
            held[intent.symbol] += sign * trade.quantity
        return {symbol: quantity for symbol, quantity in held.items() if quantity}

    async def balances(self) -> Mapping[str, Decimal]:
        cash = defaultdict(Decimal, {"USD": Decimal(1_000_000)})
        for trade in self.book.trades:
            intent, _ = self.book.orders[trade.client_order_id]
            sign = -1 if intent.side is Side.BUY else 1
            cash[trade.currency] += sign * trade.quantity * trade.price - (trade.fee or 0)
        return dict(cash)

    async def trades(self, after: str) -> TradePage:
        first = int(after.removeprefix("after-") or 0)
        page = tuple(self.book.trades[first : first + 2])
        return TradePage(page, f"after-{first + len(page)}" if page else after)

    async def server_time(self) -> datetime:
        return self.now or datetime.now(UTC)

    def fill(self, client_order_id: str, quantity: int | None = None) -> None:
        """Execute so many shares of an order, all that is left by default."""
        intent, _ = self.book.orders[client_order_id]
        done = sum(trade.quantity for trade in self._trades_of(client_order_id))
        number = len(self.book.trades) + 1
        trade = Trade(
            f"t-{number}",
            client_order_id,
            quantity or intent.quantity - done,
            intent.reference_price + self.slip,
            None if self.names_fees_later else FEE,
            intent.currency,
        )
        self.book.trades.append(trade)
        self._save()

    def name_fees(self) -> None:
        """Name the fees of all trades."""
        self.book.trades = [
            replace(trade, fee=FEE if trade.fee is None else trade.fee)
            for trade in self.book.trades
        ]
        self._save()

    def trade_in_the_app(
        self, symbol: str, side: Side, quantity: int, price: str, *, says_what: bool = True
    ) -> str:
        """Somebody trades on the account without the desk; returns the trade's id.

        Args:
            symbol, side, quantity, price: what is traded.
            says_what: whether the trade names its symbol and its side.
        """
        number = len(self.book.trades) + 1
        intent = Intent(
            client_order_id=f"app-{number}",
            signal_id="",
            origin=Origin.EXTERNAL,
            fingerprint="",
            symbol=symbol,
            market=MarketCode.US,
            currency="USD",
            side=side,
            quantity=quantity,
            limit_price=Decimal(price),
            reference_price=Decimal(price),
            as_of=datetime.now(UTC),
            reserved_cash=Decimal(0),
        )
        self.book.orders[intent.client_order_id] = intent, OrderState.ACCEPTED
        self.fill(intent.client_order_id)
        trade = self.book.trades[-1]
        if says_what:
            self.book.trades[-1] = replace(trade, symbol=symbol, side=side)
        return trade.trade_id

    def report(self, client_order_id: str) -> BrokerReport:
        """What it says of an order."""
        intent, state = self.book.orders[client_order_id]
        trades = self._trades_of(client_order_id)
        if sum(trade.quantity for trade in trades) == intent.quantity:
            state = OrderState.FILLED
        elif trades and state is OrderState.ACCEPTED:
            state = OrderState.PARTIALLY_FILLED
        return BrokerReport(client_order_id, f"b-{client_order_id}", state, trades)

    def reports(self) -> list[BrokerReport]:
        """Everything it knows, for an audit."""
        return [self.report(order_id) for order_id in self.book.orders]

    def _trades_of(self, client_order_id: str) -> tuple[Trade, ...]:
        mine = (trade for trade in self.book.trades if trade.client_order_id == client_order_id)
        return tuple(mine)


def _load(file: Path) -> Book:
    book: Book = pickle.loads(file.read_bytes())  # noqa: S301 - the test's own file
    return book


def plug(executor: OrderExecutor, broker: RestingBroker) -> RestingBroker:
    """Let the executor trade at this broker instead of the paper broker."""
    executor.execution._broker = broker
    return broker
