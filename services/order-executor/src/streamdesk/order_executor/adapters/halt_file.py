"""A halt that waits beside the ledger's file while the ledger itself cannot be written.

Executors of a SQLite ledger share its folder, so each sees it. It is booked, and removed, by the
first that can.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.errors import DatabaseUnavailableError
from streamdesk.trading.trading_state import TradingState

SCHEME = "sqlite"


@dataclass(frozen=True, slots=True)
class WantedHalt:
    """What a person wants: HALTED or REDUCING, and why."""

    state: TradingState
    reason: str


class HaltFile:
    """The file of one ledger.

    Args:
        ledger: the file; None for a ledger on a server: there is no such place then.
        broker: the file of the paper broker that belongs to it; None likewise.
    """

    def __init__(self, ledger: Path | None, broker: Path | None) -> None:
        self._ledger = ledger
        self._broker = broker
        self.path = None if ledger is None else ledger.with_name(f"{ledger.name}.halt")

    def look_for_ledger(self) -> None:
        """Look whether the ledger was deleted: a command that opens it would make an empty one.

        Raises:
            DatabaseUnavailableError: it was; its broker has a file.
        """
        if self._ledger is None or self._broker is None or self._ledger.exists():
            return
        if self._broker.exists():
            raise DatabaseUnavailableError(
                f"the file {self._ledger} is gone, its broker's {self._broker} is not: put it back"
            )

    def leave(self, wanted: WantedHalt) -> bool:
        """Leave it for the executors; False where there is no place that they all see.

        Raises:
            OSError: it cannot be written.
        """
        if self.path is None:
            return False
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"state": wanted.state, "reason": wanted.reason}))
        os.replace(new, self.path)  # noqa: PTH105 - never half of it
        return True

    def found(self) -> WantedHalt | None:
        """What was left; None as a rule. What cannot be read halts: somebody meant to."""
        if self.path is None:
            return None
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return None
        except OSError as error:
            return WantedHalt(TradingState.HALTED, f"{self.path} cannot be read: {error}")
        try:
            wanted = json.loads(text)
            return WantedHalt(TradingState(wanted["state"]), str(wanted["reason"]))
        except (ValueError, KeyError, TypeError):
            return WantedHalt(TradingState.HALTED, f"{self.path} is there, and says no reason")

    def remove(self) -> None:
        """Forget it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def halt_file_of(settings: Settings) -> HaltFile:
    """The file of the ledger that the settings name."""
    urls = settings.ledger_url, settings.paper_broker_url
    return HaltFile(*(_path(url.get_secret_value()) for url in urls))


def _path(url: str) -> Path | None:
    scheme, _, path = url.partition(":///")
    return Path(path) if scheme.startswith(SCHEME) else None
