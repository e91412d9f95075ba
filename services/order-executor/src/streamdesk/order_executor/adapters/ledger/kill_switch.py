"""The kill switch: one row for all executors of the account, read by each decision.

It is a part of the ledger because decisions are: once `stop` has returned, no executor commits
another intent that its state forbids, whatever is in flight, and whether or not Redis answers. What
was committed and not sent is not sent either (`last_look`); what was sent is finished.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, null, select, update

from streamdesk.contracts.events import Severity
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import desk_requests, events, rows
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT
from streamdesk.order_executor.domain import Halt
from streamdesk.trading.risk import Alert
from streamdesk.trading.trading_state import TradingState

REASON_MAX_CHARS = 200
_STATE = select(ACCOUNT.c.halted_at, ACCOUNT.c.halted_reason, ACCOUNT.c.trading_state)
_STATE_BEFORE_STATES = select(ACCOUNT.c.halted_at, ACCOUNT.c.halted_reason, null())
SEVERITY = {TradingState.REDUCING: Severity.WARNING, TradingState.HALTED: Severity.CRITICAL}


class KillSwitch:
    """Halts trading, reduces it to exits, and resumes it.

    Args:
        database: of the ledger, open.
        clock: gives the time of writing.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def state(self) -> Halt | None:
        """The halt in force; None while trading is active.

        Raises:
            DatabaseError: it cannot be known.
        """
        return await self._database.read(state)

    async def stop(self, wanted: TradingState, reason: str) -> Halt:
        """Let exits through alone, or nothing, from now on; in this state already, the first stays.

        Args:
            wanted: REDUCING or HALTED.
            reason: for people; what is beyond 200 characters is cut.

        Raises:
            DatabaseError: it is not known whether it was done; the same call again is safe.
        """
        return await self._database.write(
            lambda connection: stop(connection, wanted, reason, self._clock())
        )

    async def halt(self, reason: str) -> Halt:
        """Let nothing through from now on; raises as `stop`."""
        return await self.stop(TradingState.HALTED, reason)

    async def resume(self) -> Halt | None:
        """Let everything through again; returns the halt that ended, None if there was none.

        What a person has asked of all executors is withdrawn as far as it is not done.

        Raises:
            DatabaseError: as `stop`.
        """

        def work(connection: Connection) -> Halt | None:
            current = state(connection)
            if current is not None:
                nothing = {"halted_at": None, "halted_reason": None, "trading_state": None}
                connection.execute(update(ACCOUNT).values(**nothing))
                alert = _alert("TRADING_RESUMED", Severity.INFO, "trading is resumed")
                events.alert(connection, alert, self._clock())
            desk_requests.withdraw(connection, self._clock())
            return current

        return await self._database.write(work)


def stop(connection: Connection, wanted: TradingState, reason: str, now: datetime) -> Halt:
    """As `KillSwitch.stop`, in a transaction of the caller's."""
    current = state(connection)
    if current is not None and current.state is wanted:
        return current
    made = Halt(now, " ".join(reason.split())[:REASON_MAX_CHARS] or "no reason given", wanted)
    connection.execute(
        update(ACCOUNT).values(halted_at=made.at, halted_reason=made.reason, trading_state=wanted)
    )
    alert = _alert(f"TRADING_{wanted}", SEVERITY[wanted], made.text)
    events.alert(connection, alert, made.at)
    return made


def state(connection: Connection, *, has_states: bool = True) -> Halt | None:
    """The halt in force, in a transaction of the caller's; None while trading is active.

    Args:
        connection: in the transaction.
        has_states: whether the tables know what a halt lets through.
    """
    row = connection.execute(_STATE if has_states else _STATE_BEFORE_STATES).one_or_none()
    if row is None or row[0] is None:
        return None
    return Halt(row[0], row[1], rows.trading_state(row[0], row[2]))


def _alert(code: str, severity: Severity, message: str) -> Alert:
    is_on = severity is not Severity.INFO
    return Alert(code, code, severity, message, Decimal(is_on), Decimal(0))
