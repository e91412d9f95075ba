"""Halts trading, reduces it to exits, resumes it, or says in which state it is."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.halt_file import HaltFile, WantedHalt
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.domain import Halt
from streamdesk.order_executor.errors import DatabaseError, DatabaseUnavailableError
from streamdesk.trading.orders import Order, OrderState
from streamdesk.trading.trading_state import TradingState


class TradingCommand(StrEnum):
    """What can be done with the kill switch."""

    HALT = "halt"
    REDUCE = "reduce"
    RESUME = "resume"
    STATUS = "status"


LOOK_SECONDS = 0.05
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


def leave_halt(
    file: HaltFile, command: TradingCommand, reason: str, error: DatabaseError
) -> WantedHalt:
    """Leave a halt for the executors while the ledger is unavailable; return what waits there.

    Nothing is sent meanwhile: an order is committed first. They halt before they trade again.

    Raises:
        DatabaseError: nothing is left there, and nothing can be; the words say what to do.
    """
    try:
        if command in STOPS:
            wanted = WantedHalt(STOPS[command], reason)
            if file.leave(wanted):
                return wanted
        elif command is TradingCommand.STATUS and (found := file.found()) is not None:
            return found
    except OSError as why:
        error = DatabaseUnavailableError(f"{error}; {file.path} cannot be written either: {why}")
    if command not in STOPS:
        raise error
    raise DatabaseUnavailableError(
        f"{error}; nothing is sent while that lasts: to keep it so, stop the executors, and start "
        f"them after `{command}` has worked"
    ) from error


async def settled_orders(ledger: Ledger, halt: Halt, wait_seconds: float) -> Sequence[Order]:
    """Orders that were on their way to the broker when trading was stopped, as they are then.

    An executor looks at the kill switch right before it sends, and the halt may be committed right
    after that look: such an order is sent. So whoever stops trading waits for those that were
    committed and not known to be sent: each is then canceled, or its outcome is known.

    Args:
        ledger: where the halt is committed.
        halt: it.
        wait_seconds: at most, for an executor that has died, or hangs.

    Returns:
        The orders; one that is still INTENDED may be sent if its executor lives.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_seconds
    orders = [order for order in await ledger.unfinished() if _is_on_its_way(order, halt)]
    while any(_is_on_its_way(order, halt) for order in orders) and loop.time() < until:
        await asyncio.sleep(LOOK_SECONDS)
        orders = [await ledger.order(order.client_order_id) or order for order in orders]
    return orders


def _is_on_its_way(order: Order, halt: Halt) -> bool:
    is_forbidden = halt.state is TradingState.HALTED or order.intent.side is Side.BUY
    return is_forbidden and order.state is OrderState.INTENDED
