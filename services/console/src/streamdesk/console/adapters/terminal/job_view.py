"""How a job looks: a bar while it runs, and what came of it."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from streamdesk.console.adapters.folder import shown

SHOWN_FAILURES = 5
INDICATORS = 9


class JobView:
    """The bar; where there is no terminal, nothing is printed until the end.

    Args:
        console: where to.
        waits_for: what is done before the first stock.
    """

    def __init__(self, console: Console, waits_for: str) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[failed]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(waits_for, total=None, failed="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, line: dict[str, Any]) -> None:
        """A line of the job."""
        if line["kind"] == "making" and line["done"] < line["total"]:
            self._bar.update(self._task, completed=line["done"], total=line["total"])
        elif line["kind"] == "making":
            self._bar.reset(self._task, description="writing their bars", total=None)
        elif line["kind"] == "filled":
            self._bar.reset(self._task, description="reading bars", total=None)
        elif line["kind"] == "progress":
            failed = f"[red]{line['failed']:,} failed[/]" if line["failed"] else ""
            self._bar.update(
                self._task,
                description=f"[bold]{escape(line['run_id'])}[/]",
                completed=line["done"],
                total=line["total"],
                failed=failed,
            )


def print_report(console: Console, report: dict[str, Any], *, has_bus: bool) -> None:
    """What came of it.

    Args:
        console: where to.
        report: the job's last line.
        has_bus: whether there is a bus to publish it on.
    """

    def say(markup: str) -> None:
        console.print(markup, highlight=False, soft_wrap=True)

    failed: dict[str, str] = report["failed"]
    good = report["stocks"] - len(failed)
    mark = "[green]✓[/]" if report["succeeded"] else "[red]✗[/]"
    say(f"{mark} {good:,} of {report['stocks']:,} stocks have their {INDICATORS} indicators")
    say(f"  computed  {_computed(report)}")
    say(f"  results   {escape(shown(Path(report['folder'])))}")
    say(f"  events    {_events(report, has_bus=has_bus)}")
    for symbol, why in list(failed.items())[:SHOWN_FAILURES]:
        say(f"  [red]failed[/]    {escape(symbol)}: {escape(why)}")
    if len(failed) > SHOWN_FAILURES:
        say(f"  [red]failed[/]    and {len(failed) - SHOWN_FAILURES:,} more")
    if not report["succeeded"]:
        say("  Too few bars yet? `streamdesk job indicators --simulate 5000` shows an example.")


def _computed(report: dict[str, Any]) -> str:
    computed, seconds = report["computed"], report["duration_seconds"]
    earlier = f"; {report['resumed']:,} were there before" if report["resumed"] else ""
    if not computed:
        return f"nothing{earlier}"
    return f"{computed:,} in {seconds:.1f} s, {computed / seconds:,.0f} stocks/s{earlier}"


def _events(report: dict[str, Any], *, has_bus: bool) -> str:
    if not has_bus:
        return "none published: no desk runs here, and neither REDIS_URL nor --url names a server"
    if report["published"]:
        return "all on the bus"
    return (
        "[yellow]not all on the bus: Redis did not answer. The results are complete; the same "
        "command publishes the rest once it answers[/]"
    )
