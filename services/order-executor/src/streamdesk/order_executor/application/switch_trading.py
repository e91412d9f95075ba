"""Halts trading, reduces it to exits, resumes it, or says in which state it is."""

from enum import StrEnum

from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.domain import Halt
from streamdesk.trading.trading_state import TradingState


class TradingCommand(StrEnum):
    """What can be done with the kill switch."""

    HALT = "halt"
    REDUCE = "reduce"
    RESUME = "resume"
    STATUS = "status"


STOPS = {TradingCommand.HALT: TradingState.HALTED, TradingCommand.REDUCE: TradingState.REDUCING}


async def switch_trading(
    kill_switch: KillSwitch, command: TradingCommand, reason: str = ""
) -> Halt | None:
    """Do it, and return the halt that is in force then; None while trading is active.

    Raises:
        DatabaseError: it is not known whether it was done; the same call again is safe.
    """
    if command in STOPS:
        return await kill_switch.stop(STOPS[command], reason)
    if command is TradingCommand.RESUME:
        await kill_switch.resume()
        return None
    return await kill_switch.state()
