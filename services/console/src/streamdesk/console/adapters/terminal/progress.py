"""Progress of `up`: a few lines, and on a terminal one line that is updated in place."""

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.status import Status

PLAIN_PERIOD_SECONDS = 10.0


class Progress:
    """Prints the progress of a desk to a terminal or a file.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._last_plain = time.monotonic()

    def say(self, text: str) -> None:
        """A line of text."""
        self._print(escape(text))

    def problem(self, text: str) -> None:
        """A warning."""
        self._print(f"[yellow]![/] {escape(text)}")

    def good(self, text: str) -> None:
        """A success."""
        self._print(f"[green]✓[/] {escape(text)}")

    def live(self, text: str) -> None:
        """The line of figures: in place on a terminal, now and then elsewhere."""
        if self._console.is_terminal:
            if self._status is None:
                self._status = self._console.status("", spinner="dots", refresh_per_second=4)
                self._status.start()
            self._status.update(escape(text))
        elif time.monotonic() - self._last_plain >= PLAIN_PERIOD_SECONDS:
            self._last_plain = time.monotonic()
            self._print(escape(text))

    def close(self) -> None:
        """Remove the line that is updated in place."""
        if self._status:
            self._status.stop()
            self._status = None

    def _print(self, markup: str) -> None:
        self._console.print(markup, highlight=False, soft_wrap=True)
