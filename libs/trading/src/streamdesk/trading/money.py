"""Decimals: exact from the wire to the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

CENT = Decimal("0.01")
PRICE_STEP = Decimal("0.000001")
"""Prices are kept to a millionth; no market quotes finer."""

MAX_PRICE = Decimal(1_000_000_000)
"""No market quotes higher; a signal that does is wrong."""

ZERO = Decimal(0)
HUNDRED = Decimal(100)
MOST_PERCENT = Decimal(1_000_000)
"""A distance beyond this is written down as this: a price can be 1e300, a column cannot."""


def cents(amount: Decimal) -> Decimal:
    """Round to whole cents, half to even: over many trades the rounding does not drift."""
    return amount.quantize(CENT)


def cents_up(amount: Decimal) -> Decimal:
    """Round up to whole cents, for what must be enough."""
    return amount.quantize(CENT, rounding=ROUND_CEILING)


def tidy(amount: Decimal) -> Decimal:
    """The same number without idle zeros, but with at least two digits behind the point."""
    shortest = amount.normalize()
    exponent = shortest.as_tuple().exponent
    return amount.quantize(CENT) if isinstance(exponent, int) and exponent > -2 else shortest  # noqa: PLR2004 - two digits


def price_from(number: float) -> Decimal:
    """A price from the wire: the shortest decimal that reads back as this float."""
    price = Decimal(repr(float(number)))
    return price if price > MAX_PRICE else tidy(price.quantize(PRICE_STEP))


@dataclass(frozen=True, slots=True)
class ExchangeRates:
    """What one unit of a currency is worth in the account's currency.

    Args:
        account_currency: ISO 4217 code; its rate is 1.
        others: rate of every other currency that is traded in.
        conversion_bps: what a conversion into or out of another currency costs, in hundredths of
            a percent of the amount.
        dates: from when the rate of a currency holds; without those that hold at all times.
        unknown: why the present rate of a currency is not known; `of` gives the nearest one.
    """

    account_currency: str
    others: Mapping[str, Decimal] = field(default_factory=dict)
    conversion_bps: Decimal = ZERO
    dates: Mapping[str, datetime] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    def of(self, currency: str) -> Decimal:
        """The rate of a currency.

        Raises:
            KeyError: no rate was given; the factory gives one for each market.
        """
        return Decimal(1) if currency == self.account_currency else self.others[currency]

    def buying(self, currency: str) -> Decimal:
        """What one unit of a currency costs at most, its conversion included."""
        return self.of(currency) * (1 + self._conversion(currency))

    def worth(self, currency: str, amount: Decimal) -> Decimal:
        """Cash in a currency, in whole cents of the account's."""
        return cents(amount * self.of(currency))

    def spendable(self, currency: str, amount: Decimal) -> Decimal:
        """What cash in a currency pays for in any other, its conversion deducted, likewise."""
        if amount <= 0:
            return self.worth(currency, amount)
        left = amount * self.of(currency) * (1 - self._conversion(currency))
        return left.quantize(CENT, rounding=ROUND_FLOOR)

    def _conversion(self, currency: str) -> Decimal:
        return ZERO if currency == self.account_currency else self.conversion_bps / 10_000
