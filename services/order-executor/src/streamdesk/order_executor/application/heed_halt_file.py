"""Books a halt that was left beside the ledger while the ledger could not be written."""

from streamdesk.order_executor.adapters.halt_file import HaltFile
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.runtime import logger
from streamdesk.trading.trading_state import TradingState

log = logger(__name__)


class LeftHalts:
    """Looks for the file and does what it says; every executor does.

    Args:
        kill_switch: of the ledger.
        file: beside the ledger.
    """

    def __init__(self, kill_switch: KillSwitch, file: HaltFile) -> None:
        self._kill_switch = kill_switch
        self._file = file

    async def heed(self) -> None:
        """Halt or reduce trading if a file says so, and remove it.

        Raises:
            DatabaseError: it could not be booked; the file stays.
        """
        wanted = self._file.found()
        if wanted is None:
            return
        halt = await self._kill_switch.state()
        # A reduction that was wanted before must not loosen a halt.
        if halt is None or halt.state is not TradingState.HALTED:
            halt = await self._kill_switch.stop(wanted.state, wanted.reason)
        self._file.remove()
        log.warning("a halt was left beside the ledger", state=halt.state, reason=halt.reason)
