"""The commands beside the service itself: `python -m streamdesk.order_executor COMMAND`.

migrate, inspect               the tables: `tables`
halt, reduce, resume, status   the kill switch: `trading`
cancel-all, close-all          what all executors are asked for: `requests`
locks, unlock                  locks of entries: `locks`
resolve, adopt, ignore         what a person found out about an order or a trade: `orders`
ledger                         rows of the ledger, and whether the books agree: `ledger`
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamdesk.order_executor.application.switch_trading import TradingCommand
from streamdesk.order_executor.entrypoints.cli import (
    ledger,
    locks,
    orders,
    requests,
    tables,
    trading,
)

Command = Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class Openers:
    """How commands get at the ledger that the settings name."""

    trading: trading.OpenTradingOf
    executor: orders.OpenExecutor
    loss_limits: locks.OpenLossLimits
    inspector_of: tables.InspectorOf
    readers: ledger.LedgerReaders


def run_command(arguments: Sequence[str], openers: Openers) -> int | None:
    """Run the command that the arguments name.

    Returns:
        Its exit code; None when they name none.
    """
    name = arguments[0] if arguments else ""
    of_tables: dict[str, Command] = {
        "migrate": lambda _: tables.migrate(openers.executor),
        "inspect": lambda _: tables.inspect(openers.inspector_of),
    }
    if name in of_tables and len(arguments) > 1:
        return None
    of_trading = [str(command) for command in TradingCommand]
    of_orders = [str(command) for command in orders.OrderCommand]
    commands: dict[str, Command] = {
        **of_tables,
        **dict.fromkeys(of_trading, lambda words: trading.trading(words, openers.trading)),
        **dict.fromkeys(of_orders, lambda words: orders.about_an_order(words, openers.executor)),
        **dict.fromkeys(
            locks.COMMANDS, lambda words: locks.lock_command(words, openers.loss_limits)
        ),
        **dict.fromkeys(
            requests.COMMANDS, lambda words: requests.request_command(words, openers.trading)
        ),
        "ledger": lambda words: ledger.ledger(words, openers.readers),
    }
    command = commands.get(name)
    return None if command is None else command(arguments)
