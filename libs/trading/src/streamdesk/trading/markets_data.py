"""What exchanges decide and change: price ticks by date, lot sizes. Data, no rules."""

from datetime import date
from decimal import Decimal

# (from this price on, the tick is), ascending.
Bands = tuple[tuple[Decimal, Decimal], ...]


def _bands(*pairs: str) -> Bands:
    return tuple((Decimal(pair.split(":")[0]), Decimal(pair.split(":")[1])) for pair in pairs)


_HK_UP_TO_HALF = ("0:0.001", "0.25:0.005")
_HK_FROM_50 = (
    "50:0.05", "100:0.1", "200:0.2", "500:0.5", "1000:1", "2000:2", "5000:5",
)  # fmt: skip

HK_TICKS: tuple[tuple[date, Bands], ...] = (
    # HKEX spread table, Part A, in force since the reduction of 24 July 2006:
    # https://mondovisione.com/news/hkex-sets-date-for-reduction-of-minimum-trading-spreads-for-securities-priced-be-2011124
    (date(2006, 7, 24), _bands(*_HK_UP_TO_HALF, "0.5:0.01", "10:0.02", "20:0.05", *_HK_FROM_50)),
    # Phase 1 of the "Reduction of Minimum Spreads", 4 August 2025: 10 to 20 and 20 to 50 HKD:
    # https://www.hkex.com.hk/Services/Trading/Securities/Overview/Trading-Mechanism/Reduction-of-Minimum-Spreads
    (
        date(2025, 8, 4),
        _bands(*_HK_UP_TO_HALF, "0.5:0.01", "10:0.01", "20:0.02", "50:0.05", *_HK_FROM_50[1:]),
    ),
)

# Phase 2 (0.50 to 10 HKD: 0.005) was announced for mid-2026, subject to a review; same page. The
# day is not in this table because it is not known here: setting HK_TICK_PHASE2_FROM names it.
HK_PHASE2: Bands = _bands(
    *_HK_UP_TO_HALF, "0.5:0.005", "10:0.01", "20:0.02", "50:0.05", *_HK_FROM_50[1:]
)

# Regulation NMS, rule 612: one cent from 1 USD on, a hundredth of a cent below. The half-cent tick
# for some liquid stocks that the SEC adopted in 2024 is postponed; a cent is valid there as well.
US_TICKS: tuple[tuple[date, Bands], ...] = ((date(2005, 8, 29), _bands("0:0.0001", "1:0.01")),)

# Board lots on HKEX are the issuer's choice and change now and then. These are for trading on
# paper; before real orders they are replaced by what the broker says (LOT_SIZES overrides them).
HK_LOTS: dict[str, int] = {
    "1.HK": 500, "2.HK": 500, "3.HK": 1000, "5.HK": 400, "6.HK": 500, "11.HK": 100,
    "12.HK": 1000, "16.HK": 500, "27.HK": 1000, "66.HK": 500, "175.HK": 1000, "267.HK": 1000,
    "386.HK": 2000, "388.HK": 100, "669.HK": 500, "688.HK": 500, "700.HK": 100, "762.HK": 2000,
    "823.HK": 100, "857.HK": 2000, "883.HK": 1000, "939.HK": 1000, "941.HK": 500, "981.HK": 500,
    "992.HK": 2000, "1024.HK": 100, "1038.HK": 500, "1088.HK": 500, "1093.HK": 2000,
    "1113.HK": 500, "1211.HK": 500, "1299.HK": 200, "1398.HK": 1000, "1810.HK": 200,
    "2015.HK": 100, "2020.HK": 200, "2269.HK": 500, "2318.HK": 500, "2331.HK": 500,
    "2382.HK": 100, "2388.HK": 500, "2628.HK": 1000, "3690.HK": 100, "3968.HK": 500,
    "3988.HK": 1000, "6618.HK": 50, "9618.HK": 50, "9633.HK": 200, "9888.HK": 50, "9961.HK": 50,
    "9988.HK": 100, "9999.HK": 100,
}  # fmt: skip
