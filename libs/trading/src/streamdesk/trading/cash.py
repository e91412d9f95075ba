"""Cash by currency, and the conversions that bring what a payment lacks. Pure.

An account pays in the currency of the trade, and what a sale brings stays in its currency. What is
missing for a payment is converted first, out of the account's own currency before any other; what
is there in no currency stays owed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from streamdesk.trading.money import CENT, ZERO, ExchangeRates, cents

CROSS_STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion.

    Attributes:
        from_currency, from_amount: what left the account, the cost included.
        to_currency, to_amount: what came for it.
        rate: price of one unit of what came, in what left.
        cost: part of `from_amount` that the broker kept.
        rate_at: from when the rate holds; None for one that holds at all times.
    """

    from_currency: str
    from_amount: Decimal
    to_currency: str
    to_amount: Decimal
    rate: Decimal
    cost: Decimal
    rate_at: datetime | None = None


def conversions_for(
    payment: Decimal, currency: str, balances: Mapping[str, Decimal], rates: ExchangeRates
) -> tuple[Conversion, ...]:
    """What is converted before a payment.

    Args:
        payment: what is to be paid.
        currency: in which.
        balances: cash by currency before it.
        rates: value of the currencies.
    """
    missing = payment - balances.get(currency, ZERO)
    made: list[Conversion] = []
    others = sorted(balances.keys() - {currency}, key=lambda it: (it != rates.account_currency, it))
    for source in others:
        if missing <= 0:
            break
        if balances[source] > 0:
            found = _conversion(missing, currency, balances[source], source, rates)
            missing -= found.to_amount
            made.append(found)
    return tuple(made)


def _conversion(
    missing: Decimal, currency: str, available: Decimal, source: str, rates: ExchangeRates
) -> Conversion:
    price = rates.of(currency) / rates.of(source)
    part = rates.conversion_bps / 10_000
    wanted, value = missing, max(cents(missing * price), CENT)
    cost = _down(value * part)
    if value + cost > available:
        value = cents(available / (1 + part))
        cost = available - value
        wanted = min(missing, _down(value / price))
    foreign = source if currency == rates.account_currency else currency
    return Conversion(
        from_currency=source,
        from_amount=value + cost,
        to_currency=currency,
        to_amount=wanted,
        rate=price.quantize(CROSS_STEP),
        cost=cost,
        rate_at=rates.dates.get(foreign),
    )


def _down(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_FLOOR)
