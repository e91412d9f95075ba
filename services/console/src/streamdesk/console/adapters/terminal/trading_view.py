"""How requests to all executors look, and locks."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streamdesk.console.adapters.terminal.tables import NONE, new_table

Row = dict[str, Any]
STYLES = {"DONE": "green", "FAILED": "bold red", "WITHDRAWN": "yellow"}
NAMES = {"CANCEL_ALL": "cancel-all", "CLOSE_ALL": "close-all"}


class RequestView:
    """Says how far the executors are, and what became of each order.

    Args:
        console: where to.
        silent: say nothing on the way.
    """

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._console = console
        self._silent = silent

    def show(self, line: Row) -> None:
        """A line of the executor's command."""
        if line["kind"] == "progress" and not self._silent:
            done = line["of"] - line["left"]
            self._console.print(f"{NAMES[line['request']]}: {done} of {line['of']} done")

    def end(self, report: Row) -> None:
        """What became of it."""
        items = report["items"]
        if not items:
            self._console.print("nothing to do: no such order, no such position")
            return
        table = new_table()
        for name in ("symbol", "side", "outcome", "what became of it", "still held", "order"):
            right = name == "still held"
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for item in items:
            outcome = item["outcome"] or "OPEN"
            table.add_row(
                item["symbol"],
                item["side"],
                Text(outcome, style=STYLES.get(outcome, "yellow")),
                Text(item["detail"]),
                f"{item['held']:,}" if item["held"] else NONE,
                item["order"],
            )
        self._console.print(table)
        if not report["ended"]:
            self._console.print(
                "It stays open: executors carry on as soon as they can. `streamdesk trading "
                "status` shows how far they are, `streamdesk trading resume` withdraws it.",
                style="yellow",
                highlight=False,
            )


def notes(report: Row) -> Iterator[str]:
    """What else there is to say about the state of trading, a line each."""
    for order in report.get("on_their_way", ()):
        yield (
            f"  was on its way: {order['side']} {escape(order['symbol'])} "
            f"{escape(order['order'])}, now {order['state']}{_warning(order['state'])}"
        )
    for request in report.get("requests", ()):
        done = request["of"] - request["left"]
        since = datetime.fromisoformat(request["since"]).astimezone()
        yield (
            f"  {NAMES[request['request']]} since {since:%Y-%m-%d %H:%M:%S}: {done} of "
            f"{request['of']} done"
        )


def _warning(state: str) -> str:
    if state != "INTENDED":
        return ""
    return ": its executor has died, or hangs; if it lives, it may still send it"


def locks(found: Sequence[Row]) -> Table:
    """Locks of entries."""
    table = new_table()
    for name in ("number", "symbol", "code", "until", "why"):
        table.add_column(name, overflow="fold")
    for lock in found:
        until = lock["until"]
        table.add_row(
            str(lock["number"]),
            "all" if lock["symbol"] == "*" else lock["symbol"],
            lock["code"],
            f"{datetime.fromisoformat(until):%Y-%m-%d %H:%M %Z}" if until else "it is lifted",
            Text(lock["reason"]),
        )
    return table
