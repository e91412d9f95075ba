from pathlib import Path

import pytest

from streamdesk.runtime import WATCHLIST, TickerFileError, load_tickers, parse_symbols


def test_the_desks_own_list_is_spelled_our_way() -> None:
    assert parse_symbols(WATCHLIST) == WATCHLIST


def test_symbols_are_spelled_our_way_each_once() -> None:
    assert parse_symbols([" aapl.us", "0700.HK", "700.hk", "MSFT.US"]) == (
        "AAPL.US",
        "700.HK",
        "MSFT.US",
    )


@pytest.mark.parametrize("values", [["AAPL"], [""], [None], [7], ["A B.US"], ["SAP.XETRA"]])
def test_what_is_no_symbol_is_refused_and_named(values: list[object]) -> None:
    with pytest.raises(ValueError, match=r"is not a symbol, as in AAPL\.US"):
        parse_symbols(values)


@pytest.mark.parametrize("values", [None, "AAPL.US", {"AAPL.US": 1}, 7])
def test_what_is_no_list_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="not a list"):
        parse_symbols(values)


@pytest.mark.parametrize(
    "text", ["- AAPL.US\n- 0005.HK\n", "tickers: [aapl.us, 0005.HK]\n", '["AAPL.US", "0005.HK"]']
)
def test_a_file_is_a_list_or_has_one_under_tickers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tickers.yaml"
    path.write_text(text)
    assert load_tickers(path) == ("AAPL.US", "5.HK")


@pytest.mark.parametrize(
    "content", [None, b"", b"tickers:\n", b"symbols: [AAPL.US]", b"- AAPL\n", b"[", b"\xff\xfe\xfa"]
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tickers.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TickerFileError):
        load_tickers(path)
