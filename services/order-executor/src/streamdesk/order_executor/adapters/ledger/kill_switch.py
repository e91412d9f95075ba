"""The kill switch: one row for all executors of the account, read by each decision.

It is a part of the ledger because decisions are: once `halt` has returned, no executor commits
another intent to buy, whatever is in flight, and whether or not Redis answers. Orders that were
committed before are finished, and what closes a position continues: sells and protective exits.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, select, update

from streamdesk.contracts.events import Severity
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import events
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT
from streamdesk.order_executor.domain import Halt
from streamdesk.trading.risk import Alert

REASON_MAX_CHARS = 200


class KillSwitch:
    """Halts buying, and resumes it.

    Args:
        database: of the ledger, open.
        clock: gives the time of writing.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def state(self) -> Halt | None:
        """The halt in force; None while trading is not halted.

        Raises:
            DatabaseError: it cannot be known.
        """
        return await self._database.read(state)

    async def halt(self, reason: str) -> Halt:
        """Refuse every buy from now on; halted already, the first halt stays.

        Args:
            reason: for people; what is beyond 200 characters is cut.

        Raises:
            DatabaseError: it is not known whether trading is halted; the same call again is safe.
        """
        return await self._database.write(
            lambda connection: halt(connection, reason, self._clock())
        )

    async def resume(self) -> Halt | None:
        """Allow buys again; returns the halt that ended, None if there was none.

        Raises:
            DatabaseError: as `halt`.
        """

        def work(connection: Connection) -> Halt | None:
            current = state(connection)
            if current is not None:
                connection.execute(update(ACCOUNT).values(halted_at=None, halted_reason=None))
                message = "trading is resumed"
                events.alert(connection, _alert(Severity.INFO, message, on=False), self._clock())
            return current

        return await self._database.write(work)


def halt(connection: Connection, reason: str, now: datetime) -> Halt:
    """As `KillSwitch.halt`, in a transaction of the caller's."""
    current = state(connection)
    if current is not None:
        return current
    made = Halt(now, " ".join(reason.split())[:REASON_MAX_CHARS] or "no reason given")
    connection.execute(update(ACCOUNT).values(halted_at=made.at, halted_reason=made.reason))
    message = f"trading is halted: {made.reason}"
    events.alert(connection, _alert(Severity.CRITICAL, message, on=True), made.at)
    return made


def state(connection: Connection) -> Halt | None:
    """The halt in force, in a transaction of the caller's; None while trading is not halted."""
    row = connection.execute(select(ACCOUNT.c.halted_at, ACCOUNT.c.halted_reason)).one_or_none()
    return None if row is None or row[0] is None else Halt(row[0], row[1])


def _alert(severity: Severity, message: str, *, on: bool) -> Alert:
    code = "TRADING_HALTED" if on else "TRADING_RESUMED"
    return Alert(code, code, severity, message, Decimal(on), Decimal(0))
