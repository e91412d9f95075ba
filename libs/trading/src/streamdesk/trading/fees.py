"""What a trade costs, in the currency of its market.

A commission, which is the broker's and a setting, and statutory fees, which change by law: their
rates, by date and with their sources, are in `tables/fees.csv`.

Least and greatest amounts are those of an order, however many trades fill it: so brokers bill
them, and FINRA allows it of its fee (its FAQ on the Trading Activity Fee, A200.17).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from streamdesk.contracts.events import Side
from streamdesk.trading.dated import Dated, trading_day
from streamdesk.trading.money import ZERO, cents, cents_up


class FeeBasis(StrEnum):
    """What a rate is multiplied by."""

    VALUE = "value"
    QUANTITY = "quantity"


class FeeRounding(StrEnum):
    """How the amount of an order is rounded."""

    NEAREST_CENT = "nearest cent"
    CENT_UP = "cent up"
    DOLLAR_UP = "dollar up"

    def of(self, amount: Decimal) -> Decimal:
        """The rounded amount."""
        if self is FeeRounding.DOLLAR_UP:
            return amount.to_integral_value(ROUND_CEILING)
        return cents_up(amount) if self is FeeRounding.CENT_UP else cents(amount)


@dataclass(frozen=True, slots=True)
class Commission:
    """What the broker takes.

    Attributes:
        per_share: money a share.
        rate: part of the value, 0.0003 for 0.03 %.
        minimum: least commission of an order.
    """

    per_share: Decimal = ZERO
    rate: Decimal = ZERO
    minimum: Decimal = ZERO

    def of(self, quantity: int, value: Decimal) -> Decimal:
        """Of an order, in whole cents."""
        return cents(max(self.per_share * quantity + self.rate * value, self.minimum))


@dataclass(frozen=True, slots=True)
class StatutoryFee:
    """What an authority or an exchange takes.

    Attributes:
        sides: the sides that pay it.
        basis: what the rate is multiplied by.
        rate: part of the value, or money a share; 0: it is not taken.
        minimum: least amount of an order.
        maximum: greatest amount of an order; None for no bound.
        rounding: of the amount.
    """

    sides: frozenset[Side]
    basis: FeeBasis
    rate: Decimal
    minimum: Decimal
    maximum: Decimal | None
    rounding: FeeRounding

    def of(self, quantity: int, value: Decimal) -> Decimal:
        """Of an order on a side that pays it."""
        amount = self.rate * (value if self.basis is FeeBasis.VALUE else quantity)
        amount = max(amount, self.minimum)
        return self.rounding.of(amount if self.maximum is None else min(amount, self.maximum))


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The fees of one market on one day.

    Attributes:
        commission: the broker's.
        statutory: all others.
    """

    commission: Commission = Commission()
    statutory: tuple[StatutoryFee, ...] = ()

    def of_order(self, side: Side, quantity: int, value: Decimal) -> Decimal:
        """Fees of an order that traded `quantity` shares for `value` in all, in whole cents."""
        if quantity == 0:
            return ZERO
        fees = (fee.of(quantity, value) for fee in self.statutory if side in fee.sides)
        return cents(sum(fees, self.commission.of(quantity, value)))

    def of_trade(
        self, side: Side, before: tuple[int, Decimal], quantity: int, value: Decimal
    ) -> Decimal:
        """Fees that one more trade adds to an order.

        Args:
            side: side of the order.
            before: shares and value the order traded before.
            quantity: shares of this trade.
            value: quantity times price.
        """
        so_far = self.of_order(side, *before)
        return self.of_order(side, before[0] + quantity, before[1] + value) - so_far


@dataclass(frozen=True, slots=True)
class MarketFees:
    """The fees of one market by date.

    Attributes:
        market: as in `MarketCode`.
        commission: the broker's.
        statutory: each of the others by its name.
    """

    market: str
    commission: Commission
    statutory: Mapping[str, Dated[StatutoryFee]]

    def at(self, moment: datetime) -> FeeSchedule:
        """The schedule of the trading day of this time.

        A fee is not taken before its first row, nor while its rate is 0.

        An order is charged by the day of the prices behind it, from its first trade to its last.
        """
        day = trading_day(self.market, moment)
        in_force = (fee.begun(day) for fee in self.statutory.values())
        return FeeSchedule(self.commission, tuple(fee for fee in in_force if fee and fee.rate))


US_COMMISSION = Commission(per_share=Decimal("0.0049"), minimum=Decimal("0.99"))
HK_COMMISSION = Commission(rate=Decimal("0.0003"), minimum=Decimal(3))
