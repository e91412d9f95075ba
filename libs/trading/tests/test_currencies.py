"""A trade in another currency: its gain is its own, and the currency's stands apart."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.trading.markets import CURRENCY, MarketCode
from streamdesk.trading.money import ZERO, ExchangeRates
from streamdesk.trading.orders import Intent, Origin, Trade
from streamdesk.trading.policy import MAX_TRADES_AN_ORDER, Policy
from streamdesk.trading.portfolio import Booking, Holding, Portfolio, amounts, book_trade
from streamdesk.trading.sizing import most_cost

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
INITIAL = Decimal(1_000_000)
RATES = st.decimals("0.127389", "0.129032", places=6)
PRICES = st.decimals("0.05", "500", places=3)
QUANTITIES = st.integers(1, 5000)
FEES = st.decimals("0", "100", places=2)
BPS = st.decimals("0", "50", places=1)


def rates_of(rate: Decimal, bps: Decimal = ZERO) -> ExchangeRates:
    return ExchangeRates("USD", {"HKD": rate}, bps)


@dataclass
class Account:
    """Books trades of one symbol, as the ledger does."""

    market: MarketCode = MarketCode.HK
    cash: Decimal = INITIAL
    gain: Decimal = ZERO
    fx_gain: Decimal = ZERO
    holding: Holding | None = None
    bookings: list[Booking] = field(default_factory=list)

    def trade(
        self, side: Side, quantity: int, price: Decimal, rates: ExchangeRates, fee: Decimal = ZERO
    ) -> Booking:
        currency = CURRENCY[self.market]
        symbol = f"1.{self.market}"
        intent = Intent(
            "order", "signal", Origin.SIGNAL, "print", symbol, self.market, currency, side,
            quantity, price, price, NOW, ZERO,
        )  # fmt: skip
        trade = Trade("trade", "order", quantity, price, fee, currency)
        rate = rates.of(currency)
        cost = rates.conversion_cost(currency, sum(amounts(trade, rate), ZERO))
        booking = book_trade(self.holding, intent, trade, rate, cost)
        self.cash += booking.cash_amount
        self.gain += booking.realized_pnl
        self.fx_gain += booking.fx_gain
        self.holding = booking.holding
        self.bookings.append(booking)
        return booking

    def portfolio(self, rates: ExchangeRates) -> Portfolio:
        held = {} if self.holding is None else {self.holding.symbol: self.holding}
        return Portfolio(
            cash=self.cash,
            initial_cash=INITIAL,
            realized_pnl=self.gain,
            rates=rates,
            holdings=held,
            realized_fx_gain=self.fx_gain,
        )


@given(
    st.lists(st.tuples(st.booleans(), QUANTITIES, PRICES, FEES, RATES, BPS), max_size=12),
    RATES,
    st.sampled_from(list(MarketCode)),
)
def test_cash_and_cost_and_the_two_gains_add_up_whatever_the_rates_do(
    steps: list[tuple[bool, int, Decimal, Decimal, Decimal, Decimal]],
    now: Decimal,
    market: MarketCode,
) -> None:
    account = Account(market)
    for sells, wanted, price, fee, rate, bps in steps:
        held = 0 if account.holding is None else account.holding.quantity
        side, quantity = (Side.SELL, min(wanted, held)) if sells and held else (Side.BUY, wanted)
        account.trade(side, quantity, price, rates_of(rate, bps), fee)
        cost = ZERO if account.holding is None else account.holding.cost
        assert account.cash + cost == INITIAL + account.gain + account.fx_gain
    rates = rates_of(now)
    portfolio = account.portfolio(rates)
    open_gain = ZERO if account.holding is None else account.holding.unrealized_pnl(rates)
    assert portfolio.equity == INITIAL + account.gain + open_gain + portfolio.fx_gain
    if market is MarketCode.US:
        assert portfolio.fx_gain == 0


def test_roundings_are_no_gain_of_a_currency_that_is_the_accounts() -> None:
    account, rates = Account(MarketCode.US), rates_of(Decimal("0.128"))
    account.trade(Side.BUY, 1, Decimal("0.01"), rates)  # an odd cent turns half to even around
    for price in ("0.055", "0.065", "0.155", "0.165"):
        assert account.holding is not None
        account.holding = replace(account.holding, market_price=Decimal(price))
        assert account.portfolio(rates).fx_gain == 0


@given(QUANTITIES, PRICES, PRICES, RATES, RATES)
def test_what_a_trade_gains_is_what_it_gains_in_its_own_currency_at_the_rate_of_the_sale(
    quantity: int, bought: Decimal, sold: Decimal, before: Decimal, after: Decimal
) -> None:
    account = Account()
    account.trade(Side.BUY, quantity, bought, rates_of(before))
    account.trade(Side.SELL, quantity, sold, rates_of(after))
    in_hkd = (quantity * sold).quantize(Decimal("0.01")) - (quantity * bought).quantize(
        Decimal("0.01")
    )
    assert account.gain == (in_hkd * after).quantize(Decimal("0.01"))


@given(QUANTITIES, PRICES, RATES, RATES)
def test_a_change_of_the_rate_is_a_gain_of_the_currency_alone_and_is_booked_once(
    quantity: int, price: Decimal, before: Decimal, after: Decimal
) -> None:
    account = Account()
    account.trade(Side.BUY, quantity, price, rates_of(before))
    held = account.portfolio(rates_of(after)).fx_gain
    assert account.holding is not None
    assert abs(account.holding.unrealized_pnl(rates_of(after))) <= Decimal("0.01")
    account.trade(Side.SELL, quantity, price, rates_of(after))
    assert account.gain == 0
    assert abs(account.fx_gain - held) <= Decimal("0.01")
    assert account.portfolio(rates_of(before)).fx_gain == account.fx_gain


def test_a_conversion_costs_what_is_set_both_ways() -> None:
    account, rates = Account(), rates_of(Decimal("0.128"), Decimal(10))
    bought = account.trade(Side.BUY, 100, Decimal(500), rates, Decimal(50))
    # 50,050 HKD are 6,406.40 USD; a tenth of a percent of them are 6.40.
    assert (bought.cash_amount, bought.conversion_cost) == (Decimal("-6412.80"), Decimal("6.40"))
    sold = account.trade(Side.SELL, 100, Decimal(500), rates, Decimal(50))
    assert (sold.cash_amount, sold.realized_pnl) == (Decimal("6387.20"), Decimal("-12.80"))
    assert account.fx_gain == Decimal("-12.80")  # two conversions


@given(st.lists(QUANTITIES, min_size=1, max_size=MAX_TRADES_AN_ORDER), PRICES, RATES, BPS)
def test_what_is_reserved_is_enough_for_every_way_of_filling_with_its_conversions(
    trades: list[int], price: Decimal, rate: Decimal, bps: Decimal
) -> None:
    rates, fees = rates_of(rate, bps), Policy().fees[MarketCode.HK].at(NOW)
    account, before = Account(), (0, ZERO)
    for quantity in trades:
        fee = fees.of_trade(Side.BUY, before, quantity, quantity * price)
        account.trade(Side.BUY, quantity, price, rates, fee)
        before = before[0] + quantity, before[1] + quantity * price
    assert INITIAL - account.cash <= most_cost(sum(trades), price, fees, rates.buying("HKD"))
