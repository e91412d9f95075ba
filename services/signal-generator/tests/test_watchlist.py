from pathlib import Path

import pytest

from streamdesk.market.instruments import BUILT_IN, Instrument
from streamdesk.signal_generator.adapters.watchlist import read_watchlist, select
from streamdesk.signal_generator.errors import WatchlistError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "watchlist.yaml"
    path.write_text(text)
    return path


def test_the_built_in_list_has_both_markets_and_lots() -> None:
    assert len(BUILT_IN) == 12
    assert {instrument.market for instrument in BUILT_IN} == {"US", "HK"}
    assert {i.lot_size for i in BUILT_IN if i.market == "US"} == {1}
    assert {i.currency for i in BUILT_IN if i.market == "HK"} == {"HKD"}


def test_a_file_names_instruments_in_full_or_by_a_known_symbol(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "- AAPL.US\n"
        "- symbol: 388.HK\n  start_price: 440.2\n  lot_size: 100\n  currency: HKD\n"
        "- symbol: IBM.US\n",
    )
    assert read_watchlist(path) == (
        BUILT_IN[0],
        Instrument("388.HK", 440.2, 100, "HKD"),
        Instrument("IBM.US", 100.0, 1, "USD"),
    )


def test_the_list_may_stand_under_a_name(tmp_path: Path) -> None:
    assert len(read_watchlist(written(tmp_path, "instruments: [AAPL.US, 700.HK]"))) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "- symbol: IBM.US\n  start_price: -1",
            r"entry 1 \(IBM\.US\): start_price.*greater than 0",
        ),
        ("- AAPL.US\n- symbol: IBM", r"entry 2 \(IBM\): symbol"),
        ("- AAPL.US\n- IBM", r"entry 2 \(IBM\): symbol"),
        ("- 7", r"entry 1 \(7\)"),
        ("- symbol: 388.HK", r"entry 1 \(388\.HK\).*lot_size is missing"),
        ("- symbol: IBM.US\n  currency: HKD", r"currency of a US instrument is USD"),
        ("- symbol: IBM.US\n  lot_size: 0", r"lot_size.*greater than 0"),
        ("- symbol: IBM.US\n  price: 5", r"entry 1 \(IBM\.US\): price: Extra"),
        ("- symbol: IBM.US\n  start_price: .nan", r"start_price.*finite"),
        ("- AAPL.US\n- symbol: AAPL.US", r"entry 2: AAPL\.US twice"),
        ("[]", "of one at least"),
        ("AAPL.US", "must be a list"),
        ("- [", "cannot be read"),
    ],
)
def test_a_bad_entry_is_refused_and_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(WatchlistError, match=complaint):
        read_watchlist(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WatchlistError, match=r"none\.yaml cannot be read"):
        read_watchlist(tmp_path / "none.yaml")


def test_no_selection_selects_all() -> None:
    assert select(BUILT_IN, ()) == BUILT_IN


def test_a_selection_keeps_the_order_of_the_list() -> None:
    assert [i.symbol for i in select(BUILT_IN, ["700.HK", "AAPL.US"])] == ["AAPL.US", "700.HK"]


def test_a_selection_outside_of_the_list_is_refused() -> None:
    with pytest.raises(WatchlistError, match=r"XYZ\.US not on the watchlist .*WATCHLIST_FILE"):
        select(BUILT_IN, ["AAPL.US", "XYZ.US"])
