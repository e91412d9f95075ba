"""Cash by currency: a trade's gain is its own, and the currency's stands apart."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts.events import Side
from streamdesk.trading.cash import Conversion, conversions_for
from streamdesk.trading.markets import CURRENCY, MarketCode
from streamdesk.trading.money import ZERO, ExchangeRates
from streamdesk.trading.orders import Intent, Origin, Trade
from streamdesk.trading.policy import MAX_TRADES_AN_ORDER, Policy
from streamdesk.trading.portfolio import Booking, Holding, Portfolio, book_trade, moved
from streamdesk.trading.sizing import most_cost

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
CENT = Decimal("0.01")
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
    balances: dict[str, Decimal] = field(default_factory=lambda: {"USD": INITIAL})
    gain: Decimal = ZERO
    local_gain: Decimal = ZERO
    holding: Holding | None = None
    conversions: list[Conversion] = field(default_factory=list)

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
        before = self.holding
        booking = book_trade(before, intent, trade, rates.of(currency))
        for made in conversions_for(-moved(trade, side), currency, self.balances, rates):
            self.conversions.append(made)
            self._add(made.from_currency, -made.from_amount)
            self._add(made.to_currency, made.to_amount)
        self._add(currency, booking.local_amount)
        self.gain += booking.realized_pnl
        if side is Side.SELL and before is not None:
            left = ZERO if booking.holding is None else booking.holding.local_cost
            self.local_gain += booking.local_amount - (before.local_cost - left)
        self.holding = booking.holding
        return booking

    def _add(self, currency: str, amount: Decimal) -> None:
        self.balances[currency] = self.balances.get(currency, ZERO) + amount

    def portfolio(self, rates: ExchangeRates) -> Portfolio:
        held = {} if self.holding is None else {self.holding.symbol: self.holding}
        return Portfolio(
            balances=self.balances,
            initial_cash=INITIAL,
            realized_pnl=self.gain,
            rates=rates,
            holdings=held,
        )


@given(
    st.lists(st.tuples(st.booleans(), QUANTITIES, PRICES, FEES, RATES, BPS), max_size=12),
    RATES,
    st.sampled_from(list(MarketCode)),
)
def test_each_currencys_balance_and_cost_add_up_whatever_the_rates_do(
    steps: list[tuple[bool, int, Decimal, Decimal, Decimal, Decimal]],
    now: Decimal,
    market: MarketCode,
) -> None:
    account, currency = Account(market), CURRENCY[market]
    for sells, wanted, price, fee, rate, bps in steps:
        held = 0 if account.holding is None else account.holding.quantity
        side, quantity = (Side.SELL, min(wanted, held)) if sells and held else (Side.BUY, wanted)
        account.trade(side, quantity, price, rates_of(rate, bps), fee)
        cost = ZERO if account.holding is None else account.holding.local_cost
        opening = INITIAL if currency == "USD" else ZERO
        came = sum((it.to_amount for it in account.conversions if it.to_currency == currency), ZERO)
        came -= sum(
            (it.from_amount for it in account.conversions if it.from_currency == currency), ZERO
        )
        assert account.balances.get(currency, ZERO) + cost == opening + came + account.local_gain
    portfolio = account.portfolio(rates_of(now))
    if market is MarketCode.US:
        assert portfolio.fx_gain == 0
        assert account.conversions == []


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
    in_hkd = (quantity * sold).quantize(CENT) - (quantity * bought).quantize(CENT)
    assert account.gain == (in_hkd * after).quantize(CENT)


@given(QUANTITIES, PRICES, RATES, RATES, RATES)
def test_a_rate_that_changes_twice_is_a_gain_of_the_currency_alone_and_counts_once(
    quantity: int, price: Decimal, before: Decimal, between: Decimal, after: Decimal
) -> None:
    account = Account()
    account.trade(Side.BUY, quantity, price, rates_of(before))
    value = (quantity * price).quantize(CENT)
    for rate in (between, after):
        portfolio = account.portfolio(rates_of(rate))
        assert abs(portfolio.fx_gain - value * (rate - before)) <= 2 * CENT
        assert account.holding is not None
        assert abs(account.holding.unrealized_pnl(portfolio.rates)) <= CENT
    held = account.portfolio(rates_of(after)).fx_gain
    account.trade(Side.SELL, quantity, price, rates_of(after))
    assert account.gain == 0
    assert abs(account.portfolio(rates_of(after)).fx_gain - held) <= CENT
    # What was sold is cash in its currency, which follows the rate.
    assert abs(account.portfolio(rates_of(before)).fx_gain) <= 2 * CENT


def test_what_is_missing_is_converted_and_what_a_sale_brings_stays() -> None:
    account, rates = Account(), rates_of(Decimal("0.128"), Decimal(10))
    account.trade(Side.BUY, 100, Decimal(500), rates, Decimal(50))
    # 50,050 HKD are 6,406.40 USD; a tenth of a percent of them are 6.40.
    [made] = account.conversions
    assert (made.from_currency, made.from_amount) == ("USD", Decimal("6412.80"))
    assert (made.to_amount, made.cost) == (Decimal(50_050), Decimal("6.40"))
    assert made.rate == Decimal("0.128")
    assert account.balances == {"USD": INITIAL - Decimal("6412.80"), "HKD": ZERO}
    account.trade(Side.SELL, 100, Decimal(500), rates, Decimal(50))
    assert account.gain == Decimal("-12.80")  # two fees
    assert account.balances["HKD"] == Decimal(49_950)
    assert account.portfolio(rates).fx_gain == Decimal("-6.40")  # one conversion
    # HKD pays for the next one, and only the rest is converted.
    account.trade(Side.BUY, 100, Decimal(600), rates)
    assert account.conversions[1].to_amount == Decimal(10_050)
    assert account.balances["HKD"] == 0


def test_a_buy_in_the_accounts_currency_is_paid_out_of_another_one_where_it_must() -> None:
    account, rates = Account(MarketCode.US), rates_of(Decimal("0.128"), Decimal(10))
    account.balances = {"USD": Decimal(100), "HKD": Decimal(100_000)}
    account.trade(Side.BUY, 10, Decimal(110), rates)
    [made] = account.conversions
    assert (made.from_currency, made.to_amount, made.rate) == (
        "HKD",
        Decimal(1_000),
        Decimal("7.8125"),
    )
    assert (made.from_amount, made.cost) == (Decimal("7820.31"), Decimal("7.81"))
    assert account.balances["USD"] == 0


def test_what_there_is_in_no_currency_stays_owed() -> None:
    balances = {"USD": Decimal("64.06"), "HKD": Decimal(1)}
    rates = rates_of(Decimal("0.128"), Decimal(10))
    [made] = conversions_for(Decimal(1_000), "HKD", balances, rates)
    assert (made.from_amount, made.cost, made.to_amount) == (
        Decimal("64.06"), Decimal("0.06"), Decimal(500),
    )  # fmt: skip


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
    reserved = most_cost(sum(trades), price, fees, rates.buying("HKD"))
    if account.balances["USD"] > 0:
        assert INITIAL - account.balances["USD"] <= reserved
