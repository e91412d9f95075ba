"""Limits on loss: watched between decisions, and their locks for people.

A part of the ledger, as the kill switch is: a lock holds for all executors from its commit on.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger import loss_watch, rate_rows, rows, trade_locks
from streamdesk.order_executor.domain import Marks, NumberedLock
from streamdesk.trading.locks import LockCode
from streamdesk.trading.policy import Policy
from streamdesk.trading.rates import RateBook


class LossLimits:
    """Watches the account's losses, and knows the locks of entries.

    Args:
        database: of the ledger, open.
        policy: has the limits.
        rates: value of the currencies.
        clock: gives the time of writing.
    """

    def __init__(
        self,
        database: Database,
        policy: Policy,
        rates: RateBook,
        clock: Callable[[], datetime],
    ) -> None:
        self.numbers = policy.limits
        self._database = database
        self._policy = policy
        self._rates = rates
        self._clock = clock

    async def watch(self, at: datetime, marks: Marks) -> None:
        """Measure the losses at an event, and lock entries if a limit is reached.

        The first event of a day ends the day before: its equity is taken with these prices.

        Args:
            at: event time.
            marks: prices seen since the last call, none of a later day.

        Raises:
            DatabaseError: the ledger is unavailable; the same call again is safe.
        """
        now = self._clock()

        def work(connection: Connection) -> None:
            loss_watch.note_marks(connection, marks, self._rates)
            rates = self._rates.at(at)
            loss_watch.look_and_keep(connection, at, self._policy, rates, now)

        await self._database.write(work)

    async def locks(self) -> list[NumberedLock]:
        """Every lock that has not ended, the oldest first.

        Raises:
            DatabaseError: they cannot be known.
        """
        return await self._database.read(trade_locks.open_locks)

    async def lift(self, numbers: Sequence[int] | None = None) -> list[NumberedLock]:
        """End locks, those with these numbers or all, and return them.

        With a lock for a loss the loss is measured anew, from the present equity: otherwise the
        next event would lock again.

        Raises:
            DatabaseError: it is not known whether it was done; the same call again is safe.
        """

        def work(connection: Connection) -> list[NumberedLock]:
            found = trade_locks.open_locks(connection)
            chosen = [item for item in found if numbers is None or item.number in numbers]
            for item in chosen:
                trade_locks.end(connection, item, "lifted", self._clock())
            codes = {item.lock.code for item in chosen}
            loss_watch.restart(
                connection,
                rows.portfolio(connection, rate_rows.rates_now(connection, self._rates)),
                day=LockCode.DAILY_LOSS in codes,
                peak=LockCode.DRAWDOWN in codes,
            )
            return chosen

        return await self._database.write(work)
