from collections.abc import Callable

import pytest

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import OutlierBarError
from streamdesk.signal_generator.domain.outliers import OutlierFilter

BarOf = Callable[..., BarClosed]
PASSED, REFUSED, LASTS = "passed", "refused", "lasts"


def verdicts(outliers: OutlierFilter, bars: list[BarClosed]) -> list[str]:
    found = []
    for bar in bars:
        try:
            found.append(LASTS if outliers.admit(bar) else PASSED)
        except OutlierBarError:
            found.append(REFUSED)
    return found


@pytest.mark.parametrize("factor", [0.1, 0.2, 5, 10])
def test_a_print_that_returns_is_refused_alone(bar_of: BarOf, factor: float) -> None:
    prices = [100.0, 100.0 * factor, 100.0, 101.0]
    bars = [bar_of(number=number, price=price) for number, price in enumerate(prices)]
    assert verdicts(OutlierFilter(5, 3), bars) == [PASSED, REFUSED, PASSED, PASSED]


@pytest.mark.parametrize("wrong", [{"low": 10.0}, {"high": 1000.0}, {"low": 10.0, "close": 10.0}])
def test_one_wrong_price_in_a_bar_is_enough(bar_of: BarOf, wrong: dict[str, float]) -> None:
    bars = [bar_of(), bar_of(number=1, **wrong), bar_of(number=2)]
    assert verdicts(OutlierFilter(5, 3), bars) == [PASSED, REFUSED, PASSED]


@pytest.mark.parametrize("factor", [0.1, 10])
def test_what_lasts_is_passed_on_and_becomes_the_price_to_hold_bars_against(
    bar_of: BarOf, factor: float
) -> None:
    new = 100.0 * factor
    prices = [100.0, new, new, new, new, 100.0]
    bars = [bar_of(number=number, price=price) for number, price in enumerate(prices)]
    expected = [PASSED, REFUSED, REFUSED, LASTS, PASSED, REFUSED]
    assert verdicts(OutlierFilter(5, 3), bars) == expected


@pytest.mark.parametrize("factor", [0.6, 0.3, 1.4, 4.9])
def test_a_move_that_a_market_can_make_is_passed_on_at_once(bar_of: BarOf, factor: float) -> None:
    bars = [bar_of(), bar_of(number=1, price=100.0 * factor)]
    assert verdicts(OutlierFilter(5, 3), bars) == [PASSED, PASSED]


def test_doubtful_prices_that_do_not_agree_are_not_believed(bar_of: BarOf) -> None:
    prices = [100.0, 10.0, 1000.0, 10.0, 1000.0, 100.0]
    bars = [bar_of(number=number, price=price) for number, price in enumerate(prices)]
    assert verdicts(OutlierFilter(5, 3), bars) == [PASSED, *[REFUSED] * 4, PASSED]


def test_a_wrong_first_bar_costs_the_two_good_ones_after_it(bar_of: BarOf) -> None:
    prices = [10.0, 100.0, 100.0, 100.0, 100.0]
    bars = [bar_of(number=number, price=price) for number, price in enumerate(prices)]
    assert verdicts(OutlierFilter(5, 3), bars) == [PASSED, REFUSED, REFUSED, LASTS, PASSED]


def test_instruments_are_held_against_their_own_prices(bar_of: BarOf) -> None:
    bars = [bar_of(), bar_of("700.HK", price=600.0), bar_of("700.HK", number=1, price=601.0)]
    assert verdicts(OutlierFilter(5, 3), bars) == [PASSED] * 3


def test_the_error_says_instrument_value_and_reference(bar_of: BarOf) -> None:
    outliers = OutlierFilter(5, 3)
    outliers.admit(bar_of())
    with pytest.raises(OutlierBarError, match=r"AAPL\.US: 10\.0 is 5 times .* price 100\.0"):
        outliers.admit(bar_of(number=1, low=10.0))


def test_a_factor_of_zero_refuses_nothing(bar_of: BarOf) -> None:
    bars = [bar_of(), bar_of(number=1, price=1e-9)]
    assert verdicts(OutlierFilter(0, 3), bars) == [PASSED, PASSED]
