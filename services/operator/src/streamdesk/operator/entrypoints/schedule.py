"""The two schedules: rounds over the pools, and checks of the Redis masters."""

from streamdesk.operator.application.reconcile_rounds import ReconcileRounds
from streamdesk.operator.application.watch_masters import MasterWatchdog
from streamdesk.runtime import Drain


async def reconcile(rounds: ReconcileRounds, seconds: float, drain: Drain) -> None:
    """Reconcile until the drain, then release the lease.

    Args:
        rounds: reconciles all pools that are due.
        seconds: between two rounds.
        drain: ends it.

    Raises:
        StalledError: no round succeeded for too long; the process has to be restarted.
    """
    try:
        while True:
            await rounds.tick()
            if await drain.sleep(seconds):
                return
    finally:
        await rounds.release()


async def watch_masters(watchdog: MasterWatchdog, seconds: float, drain: Drain) -> None:
    """Check the Redis masters until the drain.

    Args:
        watchdog: checks them.
        seconds: between two checks.
        drain: ends it.
    """
    while True:
        await watchdog.check()
        if await drain.sleep(seconds):
            return
