"""Locks of entries on the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.config import Settings
from tests.market import QuickMarket

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
DatabasesOf = Callable[[str], dict[str, str]]


def run(urls: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamdesk.order_executor", *arguments],
        env=os.environ | {name.upper(): url for name, url in urls.items()},
        capture_output=True,
        text=True,
        check=False,
    )


def report(urls: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = run(urls, *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_a_person_sees_the_locks_and_lifts_them_by_their_numbers(
    sqlite_of: DatabasesOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    urls = sqlite_of("account")
    settings = Settings.model_validate(
        urls | {"daily_loss_limit_percent": 2, "price_jump_percent": 0}
    )
    async with QuickMarket(settings) as executor:
        await executor.on_signal("held", signal_of(strength=1.0))
        await executor.on_bar(bar_of(minute=1, price=40.0))
    shown = report(urls, "locks")["locks"]
    assert [(lock["number"], lock["symbol"], lock["code"]) for lock in shown] == [
        (1, "*", "DAILY_LOSS"),
        (2, "*", "DRAWDOWN"),
    ]
    assert (shown[0]["until"], shown[1]["until"]) == ("2026-11-21T00:00:00+00:00", None)
    missing = run(urls, "unlock", "2", "7")
    assert (missing.returncode, missing.stderr) == (
        1,
        "order-executor: there is no lock 7 to lift; open locks: 1, 2\n",
    )
    assert [lock["number"] for lock in report(urls, "unlock", "2")["lifted"]] == [2]
    assert [lock["number"] for lock in report(urls, "unlock", "--all")["lifted"]] == [1]
    assert report(urls, "locks")["locks"] == []
    async with QuickMarket(settings) as executor:
        await executor.on_signal("entry", signal_of("MSFT.US", minute=2))
        assert "MSFT.US" in (await executor.ledger.portfolio()).holdings


def test_unlock_without_a_number_says_what_it_needs(sqlite_of: DatabasesOf) -> None:
    done = run(sqlite_of("account"), "unlock")
    assert done.returncode == 2
    assert "--all" in done.stderr
