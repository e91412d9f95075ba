"""What a person asks of all executors: to cancel every order, to close every position.

A request is committed before any executor acts on it, with an item for each order that it is about.
Every executor acts on it, and the ledger lets one of them take each step; so it is carried out
whichever of them dies, and a second request while one is open is the same one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Connection, func, insert, select, update

from streamdesk.contracts.events import Severity, Side
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import events, rows
from streamdesk.order_executor.adapters.ledger.schema import (
    DESK_REQUEST_ITEMS,
    DESK_REQUESTS,
    ORDERS,
)
from streamdesk.trading.orders import Order, OrderState
from streamdesk.trading.portfolio import Holding
from streamdesk.trading.risk import Alert
from streamdesk.trading.working_orders import MAX_EXITS

REASON_MAX_CHARS = 200
_ITEM = DESK_REQUEST_ITEMS.c


class RequestKind(StrEnum):
    """What is asked."""

    CANCEL_ALL = "CANCEL_ALL"
    """Cancel what is left of every order."""
    CLOSE_ALL = "CLOSE_ALL"
    """Cancel what is left of every entry, and sell every position."""


class ItemOutcome(StrEnum):
    """What became of an order or a position that a request is about."""

    DONE = "DONE"
    FAILED = "FAILED"
    WITHDRAWN = "WITHDRAWN"
    """Trading was resumed first."""


WORDS = {
    RequestKind.CANCEL_ALL: "a person cancels every order",
    RequestKind.CLOSE_ALL: "a person closes every position",
}


@dataclass(frozen=True, slots=True)
class RequestItem:
    """An order or a position that a request is about.

    Attributes:
        order: the order to cancel, or the one that opened the position, as it is now.
        holding: the position; None when there is none of this order.
        outcome: None while it is not done.
        detail: what became of it, for people; empty while it is not done.
    """

    order: Order
    holding: Holding | None
    outcome: ItemOutcome | None
    detail: str


@dataclass(frozen=True, slots=True)
class DeskRequest:
    """What a person asked.

    Attributes:
        number: of the request.
        kind: what.
        reason: why, as the person said.
        made_at: when.
        ended_at: when the last item had its outcome; None before.
        items: what it is about.
    """

    number: int
    kind: RequestKind
    reason: str
    made_at: datetime
    ended_at: datetime | None
    items: tuple[RequestItem, ...]


class DeskRequests:
    """Makes requests, and notes how far they are.

    Args:
        database: of the ledger, open.
        clock: gives the time of writing.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def make(self, kind: RequestKind, reason: str) -> DeskRequest | None:
        """Ask all executors for it; while one of its kind is open, add what is new to that.

        Returns:
            The request; None when there is nothing to cancel or to close.

        Raises:
            DatabaseError: it is not known whether it was made; the same call again is safe.
        """
        now = self._clock()

        def work(connection: Connection) -> DeskRequest | None:
            wanted = _what(connection, kind)
            there = [item for item in open_requests(connection) if item.kind is kind]
            if not wanted and not there:
                return None
            number = there[0].number if there else _insert(connection, kind, reason, now)
            known = {item.order.client_order_id for each in there for item in each.items}
            for order_id in sorted(wanted - known):
                values = {"request_id": number, "client_order_id": order_id}
                connection.execute(insert(DESK_REQUEST_ITEMS), values)
            return request(connection, number)

        return await self._database.write(work)

    async def open(self) -> list[DeskRequest]:
        """Those that are not done, the oldest first."""
        return await self._database.read(open_requests)

    async def get(self, number: int) -> DeskRequest:
        """How far a request is."""
        return await self._database.read(lambda connection: request(connection, number))

    async def settle(self) -> None:
        """Note what has become of each item; a request ends with its last item."""
        now = self._clock()

        def work(connection: Connection) -> None:
            for each in open_requests(connection):
                _settle(connection, each, now)

        await self._database.write(work)


def withdraw(connection: Connection, now: datetime) -> None:
    """End every request as far as it is not done: trading is resumed."""
    for each in open_requests(connection):
        for item in each.items:
            if item.outcome is None:
                _note(connection, each, item, ItemOutcome.WITHDRAWN, "trading was resumed first")
        _end(connection, each, now)


def open_requests(connection: Connection) -> list[DeskRequest]:
    """Requests that are not done, the oldest first, in a transaction of the caller's."""
    query = select(DESK_REQUESTS.c.id).where(DESK_REQUESTS.c.ended_at.is_(None))
    numbers = connection.execute(query.order_by(DESK_REQUESTS.c.id)).scalars().all()
    return [request(connection, number) for number in numbers]


def request(connection: Connection, number: int) -> DeskRequest:
    """One request, in a transaction of the caller's."""
    row = connection.execute(select(DESK_REQUESTS).where(DESK_REQUESTS.c.id == number)).one()
    query = (
        select(ORDERS, _ITEM.outcome, _ITEM.detail)
        .join_from(DESK_REQUEST_ITEMS, ORDERS)
        .where(_ITEM.request_id == number)
        .order_by(ORDERS.c.created_at, ORDERS.c.client_order_id)
    )
    held = {item.entry_order_id: item for item in rows.holdings(connection)}
    items = tuple(
        RequestItem(
            rows.order_from(found),
            held.get(found["client_order_id"]),
            None if found["outcome"] is None else ItemOutcome(found["outcome"]),
            found["detail"] or "",
        )
        for found in connection.execute(query).mappings()
    )
    return DeskRequest(row.id, RequestKind(row.kind), row.reason, row.made_at, row.ended_at, items)


def why_not_closed(connection: Connection, held: Holding, asked_at: datetime) -> str:
    """Why no further exit of a position is made for a person; empty when one is."""
    exits = ORDERS.c.entry_order_id == held.entry_order_id
    refused = exits & (ORDERS.c.state == OrderState.REJECTED) & (ORDERS.c.created_at >= asked_at)
    found = connection.execute(select(ORDERS.c.code, ORDERS.c.reason).where(refused)).first()
    if found is not None:
        return f"the broker rejects its exit: {found.reason or found.code}"
    made = connection.execute(select(func.count()).where(exits)).scalar_one()
    return f"{made} exits of it were not filled" if made >= MAX_EXITS else ""


def _what(connection: Connection, kind: RequestKind) -> set[str]:
    """Orders that a request made now is about."""
    live = rows.unfinished_orders(connection, None)
    if kind is RequestKind.CANCEL_ALL:
        return {order.client_order_id for order in live}
    entries = {order.client_order_id for order in live if order.intent.side is Side.BUY}
    return entries | {item.entry_order_id for item in rows.holdings(connection)}


def _insert(connection: Connection, kind: RequestKind, reason: str, now: datetime) -> int:
    short = " ".join(reason.split())[:REASON_MAX_CHARS] or "no reason given"
    values = {"kind": kind, "reason": short, "made_at": now}
    result = connection.execute(insert(DESK_REQUESTS).values(values))
    _announce(connection, kind, f"{WORDS[kind]}: {short}", Severity.WARNING, now)
    assert result.inserted_primary_key is not None  # noqa: S101 - one row was inserted
    return int(result.inserted_primary_key[0])


def _settle(connection: Connection, each: DeskRequest, now: datetime) -> None:
    left = 0
    for item in each.items:
        if item.outcome is not None:
            continue
        outcome, detail = _outcome_of(connection, each, item)
        if outcome is None:
            left += 1
        else:
            _note(connection, each, item, outcome, detail)
    if not left:
        _end(connection, each, now)


def _outcome_of(
    connection: Connection, each: DeskRequest, item: RequestItem
) -> tuple[ItemOutcome | None, str]:
    order, intent = item.order, item.order.intent
    live = rows.live_order(connection, intent.symbol)
    if order.contradiction is not None or (item.holding and live and live.contradiction):
        return ItemOutcome.FAILED, "the broker contradicts its order: a person must resolve it"
    if not order.state.is_done:
        return None, ""
    if each.kind is RequestKind.CANCEL_ALL:
        filled = f"{order.filled_quantity} of {intent.quantity} filled"
        return ItemOutcome.DONE, f"{order.state}, {filled}"
    if item.holding is None:
        return ItemOutcome.DONE, "closed" if order.filled_quantity else f"{order.state}"
    if live is None and (why := why_not_closed(connection, item.holding, each.made_at)):
        return ItemOutcome.FAILED, why
    return None, ""


def _note(
    connection: Connection, each: DeskRequest, item: RequestItem, outcome: ItemOutcome, detail: str
) -> None:
    connection.execute(
        update(DESK_REQUEST_ITEMS)
        .where(_ITEM.request_id == each.number)
        .where(_ITEM.client_order_id == item.order.client_order_id)
        .values(outcome=outcome, detail=detail)
    )


def _end(connection: Connection, each: DeskRequest, now: datetime) -> None:
    mine = DESK_REQUESTS.c.id == each.number
    connection.execute(update(DESK_REQUESTS).where(mine).values(ended_at=now))
    query = select(_ITEM.outcome, func.count()).where(_ITEM.request_id == each.number)
    found = connection.execute(query.group_by(_ITEM.outcome))
    counts: dict[str | None, int] = {row[0]: row[1] for row in found}
    done, of = counts.get(ItemOutcome.DONE, 0), len(each.items)
    severity = Severity.INFO if done == of else Severity.WARNING
    _announce(connection, each.kind, f"{WORDS[each.kind]}: {done} of {of} are done", severity, now)


def _announce(
    connection: Connection, kind: RequestKind, text: str, severity: Severity, now: datetime
) -> None:
    alert = Alert(f"request:{kind}", kind, severity, text, Decimal(0), Decimal(0))
    events.alert(connection, alert, now)
