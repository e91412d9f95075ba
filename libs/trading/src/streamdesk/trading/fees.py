"""What a trade costs, in the currency of its market: simple models of a retail broker.

    US  commission per share with a minimum an order (0.0049 USD, 0.99 USD), and when selling the
        SEC's fee on the value (27.80 USD a million: fee rate of fiscal year 2024)
    HK  commission on the value with a minimum (0.03 %, 3 HKD); stamp duty 0.1 %, rounded up to a
        whole dollar; SFC levy 0.0027 %, AFRC levy 0.00015 %, HKEX trading fee 0.00565 %

Sources: brokers' public fee tables, as https://www.cjsc.com.hk/en/securities for the Hong Kong
levies. ExchangeRates are settings where brokers differ.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from streamdesk.contracts.events import Side
from streamdesk.trading.money import ZERO, cents


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The fees of one market.

    Attributes:
        commission_per_share: money a share.
        commission_rate: part of the value, 0.0003 for 0.03 %.
        commission_minimum: least commission of an order.
        levy_rate: part of the value, both sides.
        sell_levy_rate: part of the value, when selling.
        stamp_duty_rate: part of the value, rounded up to a whole unit of the currency.
    """

    commission_per_share: Decimal = ZERO
    commission_rate: Decimal = ZERO
    commission_minimum: Decimal = ZERO
    levy_rate: Decimal = ZERO
    sell_levy_rate: Decimal = ZERO
    stamp_duty_rate: Decimal = ZERO

    def of_order(self, side: Side, quantity: int, value: Decimal) -> Decimal:
        """Fees of an order that traded `quantity` shares for `value` in all, in whole cents."""
        if quantity == 0:
            return ZERO
        commission = self.commission_per_share * quantity + self.commission_rate * value
        levies = self.levy_rate * value
        if side is Side.SELL:
            levies += self.sell_levy_rate * value
        duty = (self.stamp_duty_rate * value).to_integral_value(ROUND_CEILING)
        return cents(max(commission, self.commission_minimum) + levies + duty)

    def of_trade(
        self, side: Side, before: tuple[int, Decimal], quantity: int, value: Decimal
    ) -> Decimal:
        """Fees that one more trade adds to an order.

        A minimum is thus paid once an order, however many trades fill it.

        Args:
            side: side of the order.
            before: shares and value the order traded before.
            quantity: shares of this trade.
            value: quantity times price.
        """
        so_far = self.of_order(side, *before)
        return self.of_order(side, before[0] + quantity, before[1] + value) - so_far


US_FEES = FeeSchedule(
    commission_per_share=Decimal("0.0049"),
    commission_minimum=Decimal("0.99"),
    sell_levy_rate=Decimal("0.0000278"),
)
HK_FEES = FeeSchedule(
    commission_rate=Decimal("0.0003"),
    commission_minimum=Decimal(3),
    levy_rate=Decimal("0.000085"),
    stamp_duty_rate=Decimal("0.001"),
)
