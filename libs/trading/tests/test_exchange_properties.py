from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.trading.exchange import (
    Exchange,
    ExchangeEvent,
    ExchangeOrder,
    ExchangeRules,
    Execution,
    OrderType,
    OrderUpdate,
    bracket,
    no_fees,
)
from streamdesk.trading.exchange.orders import other
from streamdesk.trading.markets import MarketCode, Ticks, TradableInstrument
from streamdesk.trading.orders import OrderState

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
TENCENT = TradableInstrument("700.HK", MarketCode.HK, 100)
CENT = Decimal("0.01")
PRICES = st.integers(90_00, 110_00)
VOLUMES = st.sampled_from([0, 99, 100, 3_999, 8_000, 40_000, 10_000_000])
FREE = ExchangeRules(volume_share=Decimal(0), slippage_bps=Decimal(0), ticks=None, fees=no_fees)
MIRROR = Decimal(200)
"""A price and its mirror image add up to this."""


@dataclass(frozen=True)
class Step:
    """One bar, and what is decided at its end."""

    bar: BarClosed
    submitted: tuple[tuple[ExchangeOrder, ...], ...]
    canceled: int | None = None
    """Which of the open orders, counted from the first."""


Steps = list[Step]


def _name(orders: tuple[ExchangeOrder, ...]) -> str:
    return orders[0].order_id


@st.composite
def markets(draw: st.DrawFn) -> Steps:
    """A market, and a trader who opens and leaves positions in it in every way."""
    steps: Steps = []
    for number in range(draw(st.integers(2, 6))):
        prices = sorted(draw(st.tuples(PRICES, PRICES, PRICES, PRICES)))
        opening, close = prices[1:3] if draw(st.booleans()) else prices[2:0:-1]
        at = NOW + timedelta(minutes=number)
        bar = BarClosed(
            symbol=TENCENT.symbol,
            timestamp=at,
            interval_seconds=60,
            open=opening / 100,
            high=prices[3] / 100,
            low=prices[0] / 100,
            close=close / 100,
            volume=draw(VOLUMES),
        )
        orders = draw(st.lists(brackets(f"{number}", at), max_size=2, unique_by=_name))
        exits = draw(st.lists(leaves(f"{number}", at, steps), max_size=1)) if steps else []
        canceled = draw(st.none() | st.integers(0, 4))
        steps.append(Step(bar, (*orders, *((leave,) for leave in exits)), canceled))
    return steps


@st.composite
def brackets(draw: st.DrawFn, name: str, at: datetime) -> tuple[ExchangeOrder, ...]:
    side, kind = draw(st.sampled_from(list(Side))), draw(st.sampled_from(list(OrderType)))
    price = Decimal(draw(PRICES) // 10) / 10
    entry = ExchangeOrder(
        order_id=f"entry-{name}-{draw(st.integers(0, 1))}",
        instrument=TENCENT,
        side=side,
        quantity=100 * draw(st.integers(1, 30)),
        type=kind,
        as_of=at,
        limit_price=price if kind is OrderType.LIMIT else None,
        stop_price=price if kind is OrderType.STOP else None,
        day=draw(st.booleans()),
    )
    up = Decimal(1 if side is Side.BUY else -1)
    distance = st.none() | st.integers(1, 80).map(lambda tenths: up * tenths / 10)
    below, above = draw(distance), draw(distance)
    trail = draw(st.none() | st.integers(1, 80))
    return bracket(
        entry,
        stop_price=None if below is None else price - below,
        target_price=None if above is None else price + above,
        trail_amount=None if trail is None else Decimal(trail) / 10,
    )


@st.composite
def leaves(draw: st.DrawFn, name: str, at: datetime, steps: Steps) -> ExchangeOrder:
    entries = [orders[0] for step in steps for orders in step.submitted if orders]
    entries = [entry for entry in entries if entry.closes is None]
    side, closes = Side.SELL, "never"
    if entries:
        entry = draw(st.sampled_from(entries))
        side, closes = other(entry.side), entry.order_id
    limit = draw(st.none() | PRICES.map(lambda cents: Decimal(cents // 10) / 10))
    return ExchangeOrder(
        order_id=f"leave-{name}",
        instrument=TENCENT,
        side=side,
        quantity=draw(st.integers(1, 3_000)),
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        as_of=at,
        limit_price=limit,
        closes=closes,
    )


@st.composite
def all_rules(draw: st.DrawFn) -> ExchangeRules:
    return ExchangeRules(
        fees=no_fees,
        volume_share=draw(st.sampled_from([Decimal(0), Decimal("0.025"), Decimal("0.5")])),
        spread_bps=Decimal(draw(st.sampled_from([0, 7]))),
        slippage_bps=Decimal(draw(st.sampled_from([0, 10]))),
        strict=draw(st.booleans()),
        ticks=draw(st.sampled_from([None, Ticks()])),
    )


def played(steps: Steps, rules: ExchangeRules) -> list[list[ExchangeEvent]]:
    """What each step causes: the bar first, then what is decided at its end."""
    exchange, caused = Exchange(rules), []
    for step in steps:
        events = exchange.on_bar(step.bar)
        live = exchange.open_orders()
        if step.canceled is not None and step.canceled < len(live):
            order_id = live[step.canceled].order.order_id
            events += exchange.cancel(order_id, step.bar.timestamp)
        for orders in step.submitted:
            events += exchange.submit(*orders)
        caused.append(events)
    return caused


def trades(caused: Iterable[list[ExchangeEvent]]) -> list[Execution]:
    return [event for events in caused for event in events if isinstance(event, Execution)]


def ordered(steps: Steps) -> dict[str, ExchangeOrder]:
    return {o.order_id: o for step in steps for orders in step.submitted for o in orders}


@given(markets(), all_rules())
def test_no_trade_is_beyond_the_limit_or_off_the_tick(steps: Steps, rules: ExchangeRules) -> None:
    orders = ordered(steps)
    for trade in trades(played(steps, rules)):
        limit = orders[trade.order_id].limit_price
        if limit is not None:
            assert trade.price <= limit if trade.side is Side.BUY else trade.price >= limit
        if rules.ticks is not None:
            assert rules.ticks.is_on_tick(MarketCode.HK, trade.price, trade.at)


@given(markets(), all_rules())
def test_no_order_trades_more_than_it_asks_for(steps: Steps, rules: ExchangeRules) -> None:
    orders, traded = ordered(steps), defaultdict[str, int](int)
    for trade in trades(played(steps, rules)):
        assert trade.quantity > 0
        traded[trade.order_id] += trade.quantity
        assert traded[trade.order_id] <= orders[trade.order_id].quantity


@given(markets(), all_rules())
def test_exits_never_trade_more_than_their_entry_has(steps: Steps, rules: ExchangeRules) -> None:
    orders, held = ordered(steps), defaultdict[str, int](int)
    for trade in trades(played(steps, rules)):
        entry = orders[trade.order_id].closes
        held[entry or trade.order_id] += trade.quantity if entry is None else -trade.quantity
        assert held[entry or trade.order_id] >= 0


@given(markets(), all_rules())
def test_a_bar_gives_no_more_than_its_share_of_volume(steps: Steps, rules: ExchangeRules) -> None:
    for step, events in zip(steps, played(steps, rules), strict=True):
        taken, volume = sum(trade.quantity for trade in trades([events])), int(step.bar.volume)
        if volume == 0:
            assert taken == 0
        elif rules.volume_share:
            one_lot = 100 if volume >= 100 else 0
            assert taken <= max(int(volume * rules.volume_share), one_lot)


@given(markets(), all_rules())
def test_the_same_input_gives_the_same_output(steps: Steps, rules: ExchangeRules) -> None:
    assert played(steps, rules) == played(steps, rules)


@given(markets(), all_rules(), st.integers(0, 5))
def test_an_exchange_that_is_stored_after_any_step_continues_alike(
    steps: Steps, rules: ExchangeRules, stored_after: int
) -> None:
    whole, first = Exchange(rules), Exchange(rules)
    for number, step in enumerate(steps):
        if number == stored_after:
            first = Exchange(rules, first.export())
        assert whole.on_bar(step.bar) == first.on_bar(step.bar)
        for orders in step.submitted:
            assert whole.submit(*orders) == first.submit(*orders)
    assert whole.export() == first.export()


@given(markets(), all_rules(), st.integers(1, 5))
def test_what_a_bar_causes_depends_on_nothing_after_it(
    steps: Steps, rules: ExchangeRules, same: int
) -> None:
    another_end = [*steps[:same], *(_mirrored(step) for step in steps[same:])]
    one, two = played(steps, rules), played(another_end, rules)
    assert one[:same] == two[:same]


@given(markets(), all_rules())
def test_nothing_trades_before_a_bar_after_its_decision(steps: Steps, rules: ExchangeRules) -> None:
    orders = ordered(steps)
    for trade in trades(played(steps, rules)):
        assert trade.at > orders[trade.order_id].as_of


@given(markets())
def test_without_costs_every_price_is_inside_its_bar(steps: Steps) -> None:
    for step, events in zip(steps, played(steps, FREE), strict=True):
        for trade in trades([events]):
            assert step.bar.low <= float(trade.price) <= step.bar.high


@given(markets(), all_rules())
def test_costs_never_make_a_price_better(steps: Steps, rules: ExchangeRules) -> None:
    for step, events in zip(steps, played(steps, rules), strict=True):
        for trade in trades([events]):
            better = trade.price - Decimal(repr(step.bar.low))
            if trade.side is Side.SELL:
                better = Decimal(repr(step.bar.high)) - trade.price
            assert better >= 0


@given(markets())
def test_what_holds_for_buys_holds_for_sells_upside_down(steps: Steps) -> None:
    upright = trades(played(steps, FREE))
    mirrored = trades(played([_mirrored(step) for step in steps], FREE))
    assert [
        (trade.order_id, other(trade.side), trade.quantity, MIRROR - trade.price)
        for trade in mirrored
    ] == [(trade.order_id, trade.side, trade.quantity, trade.price) for trade in upright]


def _mirrored(step: Step) -> Step:
    bar = step.bar
    flipped = {
        "open": _flip(bar.open),
        "high": _flip(bar.low),
        "low": _flip(bar.high),
        "close": _flip(bar.close),
    }
    submitted = tuple(tuple(map(_mirrored_order, orders)) for orders in step.submitted)
    return Step(bar.model_copy(update=flipped), submitted, step.canceled)


def _flip(price: float) -> float:
    return float(MIRROR - Decimal(repr(price)))


def _mirrored_order(order: ExchangeOrder) -> ExchangeOrder:
    return replace(
        order,
        side=other(order.side),
        limit_price=None if order.limit_price is None else MIRROR - order.limit_price,
        stop_price=None if order.stop_price is None else MIRROR - order.stop_price,
        reference_price=None if order.reference_price is None else MIRROR - order.reference_price,
    )


@given(markets(), all_rules())
def test_the_last_update_of_an_order_fits_its_trades(steps: Steps, rules: ExchangeRules) -> None:
    traded, last = defaultdict[str, int](int), dict[str, OrderUpdate]()
    for events in played(steps, rules):
        for event in events:
            if isinstance(event, Execution):
                traded[event.order_id] += event.quantity
                continue
            before = last.get(event.order_id)
            assert before is None or not before.state.is_done or event.state is before.state
            last[event.order_id] = event
    for order_id, update in last.items():
        if update.state.is_done:
            assert update.filled_quantity == traded[order_id]
        if update.state is OrderState.FILLED:
            assert update.quantity == traded[order_id] > 0


@settings(max_examples=50)
@given(
    markets(),
    st.sampled_from([Decimal("0.025"), Decimal(0)]),
    st.sampled_from([Fraction(2), Fraction(1, 3), Fraction(1, 1_000)]),
    st.integers(0, 5),
)
def test_nothing_is_left_in_the_book_of_a_position_that_is_closed(
    steps: Steps, share: Decimal, ratio: Fraction, split_after: int
) -> None:
    exchange = Exchange(replace(FREE, volume_share=share))
    for number, step in enumerate(steps):
        exchange.on_bar(step.bar)
        for orders in step.submitted:
            exchange.submit(*orders)
        if number == split_after:
            exchange.on_split(TENCENT.symbol, ratio)
        state = {item.order.order_id: item for item in exchange.export().orders}
        for item in state.values():
            assert item.remaining > 0 or item.is_done
            assert not item.is_done or item.unsold > 0
            assert item.order.closes is None or item.order.closes in state
