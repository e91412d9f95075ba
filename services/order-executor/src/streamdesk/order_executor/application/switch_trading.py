"""Halts trading, resumes it, or says whether it is halted."""

from enum import StrEnum

from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.domain import Halt


class TradingCommand(StrEnum):
    """What can be done with the kill switch."""

    HALT = "halt"
    RESUME = "resume"
    STATUS = "status"


async def switch_trading(
    kill_switch: KillSwitch, command: TradingCommand, reason: str = ""
) -> Halt | None:
    """Do it, and return the halt that is in force then; None while trading is not halted.

    Raises:
        DatabaseError: it is not known whether it was done; the same call again is safe.
    """
    if command is TradingCommand.HALT:
        return await kill_switch.halt(reason)
    if command is TradingCommand.RESUME:
        await kill_switch.resume()
        return None
    return await kill_switch.state()
