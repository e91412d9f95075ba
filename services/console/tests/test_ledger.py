"""`streamdesk ledger`, over the executor's own process and a ledger with real orders."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from streamdesk.console.__main__ import run
from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from tests.resting_broker import RestingBroker, plug

START = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
KINDS = "orders", "fills", "positions", "cash", "equity"


def signal_of(symbol: str, minute: int, side: str = "BUY") -> SignalGenerated:
    at = START + timedelta(minutes=minute)
    return SignalGenerated.model_validate(
        {
            "symbol": symbol,
            "type": side,
            "side": side,
            "score": 65.0,
            "strength": 0.5,
            "price": 100.0,
            "reasons": (),
            "indicators": {},
            "strategy": "composite-v1",
            "timestamp": at,
            "priority": 60,
            "queued_at": at,
        }
    )


@pytest.fixture(autouse=True)
async def traded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped desk: AAPL.US half bought, MSFT.US working."""
    urls = {
        "ledger_url": f"sqlite:///{tmp_path / 'ledger.db'}",
        "paper_broker_url": f"sqlite:///{tmp_path / 'paper.db'}",
    }
    for name, url in urls.items():
        monkeypatch.setenv(name.upper(), url)
    monkeypatch.chdir(tmp_path)
    async with OrderExecutor(Settings.model_validate({**urls, "sessions": False})) as executor:
        broker = plug(executor, RestingBroker())
        broker.portion = Decimal("0.5")
        await executor.on_signal("signal-1", signal_of("AAPL.US", 0))
        broker.portion = Decimal(0)
        await executor.on_signal("signal-2", signal_of("MSFT.US", 1))


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    capsys.readouterr()
    return capsys


def test_tables_say_what_was_ordered_filled_held_and_paid(
    shown: pytest.CaptureFixture[str],
) -> None:
    for kind in KINDS:
        assert run(["ledger", kind]) == 0
    out = shown.readouterr().out
    for said in ("AAPL.US", "MSFT.US", "PARTIALLY_FILLED", "ACCEPTED", "OPENING", "1,000,000.00"):
        assert said in out
    assert run(["ledger", "orders", "--limit", "1"]) == 0
    out = shown.readouterr().out
    assert "AAPL.US" not in out
    assert "the newest 1 of 2 orders" in out
    assert run(["ledger", "fills", "--symbol", "MSFT.US"]) == 0
    assert shown.readouterr().out == "no fills\n"


def test_json_is_a_line_for_each_row_with_exact_amounts(
    shown: pytest.CaptureFixture[str],
) -> None:
    assert run(["ledger", "cash", "--json"]) == 0
    rows = [json.loads(line) for line in shown.readouterr().out.splitlines()]
    assert [row["movement"] for row in rows] == ["OPENING", "BUY"]
    balance = Decimal(rows[0]["balance"]) + Decimal(rows[1]["amount"])
    assert Decimal(rows[1]["balance"]) == balance
    assert {row["currency"] for row in rows} == {"USD"}


def test_an_export_is_a_csv_file_for_each_kind_or_one_on_standard_output(
    tmp_path: Path, shown: pytest.CaptureFixture[str]
) -> None:
    assert run(["ledger", "export", "--to", str(tmp_path / "books")]) == 0
    out = shown.readouterr().out
    files = sorted(path.name for path in (tmp_path / "books").iterdir())
    assert files == sorted(f"{kind}.csv" for kind in KINDS)
    assert "orders.csv: 2 rows" in out
    with (tmp_path / "books" / "orders.csv").open(newline="") as file:
        exported = list(csv.DictReader(file))
    assert run(["ledger", "export", "orders"]) == 0
    assert list(csv.DictReader(io.StringIO(shown.readouterr().out))) == exported
    assert [row["symbol"] for row in exported] == ["AAPL.US", "MSFT.US"]
    assert run(["ledger", "export", "fills", "--symbol", "MSFT.US"]) == 0
    assert shown.readouterr().out.startswith("booking,booked_at,"), "a header without rows"
    assert run(["ledger", "export"]) == 2
    assert "--to FOLDER" in shown.readouterr().err


def test_an_export_that_fails_leaves_the_files_that_were_there(
    tmp_path: Path, shown: pytest.CaptureFixture[str]
) -> None:
    books = tmp_path / "books"
    assert run(["ledger", "export", "orders", "--to", str(books)]) == 0
    before = (books / "orders.csv").read_bytes()
    (tmp_path / "ledger.db").write_bytes(b"x" * 4096)
    assert run(["ledger", "export", "orders", "--to", str(books)]) == 2
    error = shown.readouterr().err
    assert "is damaged" in error
    assert error.count("\n") == 1
    assert [path.name for path in books.iterdir()] == ["orders.csv"]
    assert (books / "orders.csv").read_bytes() == before


def test_books_that_agree_are_balanced(
    tmp_path: Path, shown: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_URL", f"sqlite:///{tmp_path / 'none.db'}")
    assert run(["ledger", "check"]) == 2
    assert "there is no file" in shown.readouterr().err
    assert not (tmp_path / "none.db").exists()
    monkeypatch.setenv("LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    assert run(["ledger", "check"]) == 1, "the orders rest at the test's broker, not on paper"
    assert "The books differ" in shown.readouterr().out
    assert run(["trading", "status"]) == 0


def test_a_bad_time_is_said_in_one_line(shown: pytest.CaptureFixture[str]) -> None:
    assert run(["ledger", "orders", "--since", "soon"]) == 2
    assert "--since is 'soon'" in shown.readouterr().err
