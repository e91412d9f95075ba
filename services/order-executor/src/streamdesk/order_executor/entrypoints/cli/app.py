"""The commands beside the service itself: `python -m streamdesk.order_executor COMMAND`.

migrate, inspect               the tables: `tables`
halt, reduce, resume, status   the kill switch: `trading`
locks, unlock                  locks of entries: `locks`
resolve, adopt, ignore         what a person found out about an order or a trade: `orders`
"""

from collections.abc import Sequence
from dataclasses import dataclass

from streamdesk.order_executor.application.switch_trading import TradingCommand
from streamdesk.order_executor.entrypoints.cli import locks, orders, tables, trading


@dataclass(frozen=True, slots=True)
class Openers:
    """How commands get at the ledger that the settings name."""

    kill_switch: trading.OpenKillSwitch
    executor: orders.OpenExecutor
    loss_limits: locks.OpenLossLimits
    inspector_of: tables.InspectorOf


def run_command(arguments: Sequence[str], openers: Openers) -> int | None:
    """Run the command that the arguments name.

    Returns:
        Its exit code; None when they name none.
    """
    if list(arguments) == ["migrate"]:
        return tables.migrate(openers.kill_switch)
    if list(arguments) == ["inspect"]:
        return tables.inspect(openers.inspector_of)
    name = arguments[0] if arguments else ""
    if name in set(TradingCommand):
        return trading.trading(arguments, openers.kill_switch)
    if name in set(orders.OrderCommand):
        return orders.about_an_order(arguments, openers.executor)
    if name in locks.COMMANDS:
        return locks.lock_command(arguments, openers.loss_limits)
    return None
