"""Commands that ask all executors for something: cancel-all, close-all."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from streamdesk.order_executor.adapters.ledger.desk_requests import (
    DeskRequest,
    DeskRequests,
    ItemOutcome,
    RequestKind,
)
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.entrypoints.cli.ending import PROGRAM, NotThereError, run
from streamdesk.trading.trading_state import TradingState

COMMANDS = {"cancel-all": RequestKind.CANCEL_ALL, "close-all": RequestKind.CLOSE_ALL}
LOOK_SECONDS = 0.2
WAIT_SECONDS = 60.0


class OpenDesk(Protocol):
    """What the commands use of an open ledger."""

    @property
    def kill_switch(self) -> KillSwitch:
        """What may be sent."""

    @property
    def requests(self) -> DeskRequests:
        """What a person asks of all executors."""


OpenDeskOf = Callable[[Settings], AbstractAsyncContextManager[OpenDesk]]
"""Opens the ledger, its tables up to date, and closes it again."""


def request_command(arguments: Sequence[str], open_desk: OpenDeskOf) -> int:
    """Ask all executors for it, print how far they are, and report what became of it.

    Returns:
        The exit code: 0 when all of it is done; 1 when something could not be done, or is not yet.
    """
    options = _options(arguments)
    kind = COMMANDS[options.command]

    async def work(settings: Settings) -> dict[str, Any]:
        async with open_desk(settings) as desk:
            await _must_be_possible(desk, kind)
            request = await desk.requests.make(kind, options.reason)
            if request is None:
                return {"ended": True, "items": []}
            return _shown(await _ended(desk.requests, request, options.wait))

    return run(work, is_done=_is_done)


async def _must_be_possible(desk: OpenDesk, kind: RequestKind) -> None:
    halt = await desk.kill_switch.state()
    if kind is RequestKind.CLOSE_ALL and halt and halt.state is TradingState.HALTED:
        raise NotThereError(
            "nothing can be sold while trading is halted: `streamdesk trading reduce --reason WHY "
            "--close-all` lets exits through and closes every position"
        )


async def _ended(requests: DeskRequests, request: DeskRequest, wait_seconds: float) -> DeskRequest:
    loop = asyncio.get_running_loop()
    until, said = loop.time() + wait_seconds, -1
    while True:
        left = sum(item.outcome is None for item in request.items)
        if left != said:
            of, said = len(request.items), left
            progress = {"kind": "progress", "request": request.kind, "left": left, "of": of}
            sys.stdout.write(json.dumps(progress) + "\n")
            sys.stdout.flush()
        if request.ended_at is not None or loop.time() >= until:
            return request
        await asyncio.sleep(LOOK_SECONDS)
        request = await requests.get(request.number)


def _shown(request: DeskRequest) -> dict[str, Any]:
    return {
        "request": request.kind,
        "made_at": request.made_at.isoformat(),
        "reason": request.reason,
        "ended": request.ended_at is not None,
        "items": [
            {
                "order": item.order.client_order_id,
                "symbol": item.order.intent.symbol,
                "side": item.order.intent.side,
                "outcome": item.outcome,
                "detail": item.detail or f"the order is {item.order.state}",
                "held": 0 if item.holding is None else item.holding.quantity,
            }
            for item in request.items
        ],
    }


def _is_done(report: dict[str, Any]) -> bool:
    return all(item["outcome"] == ItemOutcome.DONE for item in report["items"])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="What all executors carry out, whichever of them dies; it is open until it is "
        "done, or trading is resumed.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    cancel = commands.add_parser("cancel-all", help="cancel what is left of every order")
    close = commands.add_parser(
        "close-all", help="cancel what is left of every entry and sell every position"
    )
    for command in (cancel, close):
        command.add_argument("--reason", default="", help="why, for people")
        command.add_argument(
            "--wait",
            type=float,
            default=WAIT_SECONDS,
            metavar="SECONDS",
            help=f"for the executors ({WAIT_SECONDS:g})",
        )
    return parser.parse_args(arguments)
