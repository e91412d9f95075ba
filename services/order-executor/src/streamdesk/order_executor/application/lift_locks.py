"""Lifts locks of entries."""

from collections.abc import Sequence

from streamdesk.order_executor.adapters.ledger.loss_limits import LossLimits
from streamdesk.order_executor.domain import NumberedLock
from streamdesk.order_executor.errors import UnknownLockError


async def lift_locks(limits: LossLimits, numbers: Sequence[int] | None) -> list[NumberedLock]:
    """Lift the locks with these numbers, or all, and return them.

    Raises:
        UnknownLockError: one of them is no lock that has not ended; nothing was lifted.
        DatabaseError: it is not known whether it was done; the same call again is safe.
    """
    there = {item.number for item in await limits.locks()}
    unknown = sorted(set(numbers or ()) - there)
    if unknown:
        raise UnknownLockError(
            f"there is no lock {', '.join(map(str, unknown))} to lift; open locks: "
            f"{', '.join(map(str, sorted(there))) or 'none'}"
        )
    return await limits.lift(numbers)
