import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from streamdesk.bus import Bus, BusConfig
from streamdesk.console.__main__ import run
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.service_command import run_job
from streamdesk.console.adapters.terminal.job_view import JobView, print_report
from streamdesk.console.errors import ConsoleError, UsageError
from streamdesk.contracts.base import Topic

ReportOf = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, no server and no store named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("BAR_STORE_FOLDER", raising=False)
    return tmp_path


@pytest.fixture
def report_of() -> ReportOf:
    def make(**changes: Any) -> dict[str, Any]:
        report = {
            "kind": "report",
            "run_id": "daily-2026-11-20",
            "stocks": 5_000,
            "computed": 5_000,
            "resumed": 0,
            "failed": {},
            "published": True,
            "duration_seconds": 2.0,
            "folder": "store/indicators/day=2026-11-20/run=daily-2026-11-20",
            "succeeded": True,
        }
        return report | changes

    return make


@pytest.fixture
def said(report_of: ReportOf) -> Callable[..., str]:
    """What a person reads of a report."""

    def words(*, has_bus: bool = True, **changes: Any) -> str:
        out = io.StringIO()
        print_report(Console(file=out, width=200), report_of(**changes), has_bus=has_bus)
        return out.getvalue()

    return words


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A module of these lines, for `python -m`."""

    def make(text: str) -> str:
        (tmp_path / "made_up_job.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return "made_up_job"

    return make


async def test_simulated_stocks_are_computed_and_published(
    topics: dict[str, Topic[Any]],
    valkey_url: str,
    capsys: pytest.CaptureFixture[str],
    elsewhere: Path,
) -> None:
    arguments = ["job", "indicators", "--simulate", "40", "--url", valkey_url]
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["stocks"], report["computed"], report["published"]) == (40, 40, True)
    assert report["folder"].startswith(str(elsewhere / ".streamdesk" / "simulated" / "40"))
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        [row] = await bus.lag(topics["tasks"])
        assert row.length == 40 + 41 + 1


def test_without_a_server_it_computes_and_says_that_no_event_is_published(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["job", "indicators", "--simulate", "12"]) == 0
    out = capsys.readouterr().out
    assert "12 of 12 stocks have their 9 indicators" in out
    assert "none published: no desk runs here" in out
    assert ".streamdesk/simulated/12/indicators/day=" in out


def test_an_empty_store_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    Folder(Path(".streamdesk")).make()
    assert run(["job", "indicators", "--market", "hk"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("streamdesk: the job cannot run: the bar store")
    assert "has no bars of market HK" in error
    assert error.count("\n") == 1


def test_a_report_says_how_many_how_fast_and_where(said: Callable[..., str]) -> None:
    text = said()
    assert "5,000 of 5,000 stocks have their 9 indicators" in text
    assert "5,000 in 2.0 s, 2,500 stocks/s" in text
    assert "store/indicators/day=2026-11-20/run=daily-2026-11-20" in text
    assert "all on the bus" in text
    assert "failed" not in text


def test_a_report_names_the_first_failures_and_counts_the_others(said: Callable[..., str]) -> None:
    failed = {f"S{number}.US": "[3] bars" for number in range(7)}
    text = said(failed=failed)
    assert "4,993 of 5,000" in text
    assert "S4.US: [3] bars" in text
    assert "S5.US" not in text
    assert "and 2 more" in text


def test_a_report_says_what_was_there_and_that_redis_was_down(
    said: Callable[..., str],
) -> None:
    assert "2,000 in 2.0 s, 1,000 stocks/s; 3,000 were there before" in said(
        computed=2_000, resumed=3_000
    )
    text = said(computed=0, resumed=5_000, published=False)
    assert "nothing; 5,000 were there before" in text
    assert text.count("Redis did not answer") == 1
    assert "--simulate 5000" in said(succeeded=False)


def test_the_bar_shows_how_far_it_is_and_how_many_failed() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    with JobView(console, "making 5,000 simulated stocks") as view:
        view.show({"kind": "making", "done": 500, "total": 5_000})
        view.show({"kind": "filled", "stocks": 5_000, "bars": 1, "folder": "x"})
        view.show(
            {
                "kind": "progress",
                "run_id": "daily-2026-11-20",
                "done": 2_500,
                "total": 5_000,
                "failed": 3,
                "published": 2_250,
            }
        )
    text = out.getvalue()
    for part in ("daily-2026-11-20", "2500/5000", "50%", "3 failed"):
        assert part in text


def test_a_job_that_fails_ends_with_its_own_words(module: Callable[[str], str]) -> None:
    name = module("import sys; print('noise', file=sys.stderr); sys.exit('job: no bars; do this')")
    with pytest.raises(ConsoleError, match=r"the job cannot run: no bars; do this$") as error:
        run_job([name], {}, lambda _: None)
    assert error.value.exit_code == 1


def test_a_job_that_was_called_wrongly_is_a_usage_error(module: Callable[[str], str]) -> None:
    name = module("import sys; print('job: X=1: expected 2', file=sys.stderr); sys.exit(2)")
    with pytest.raises(UsageError, match="X=1: expected 2"):
        run_job([name], {}, lambda _: None)


def test_a_job_that_prints_nothing_is_explained_by_its_exit_code(
    module: Callable[[str], str],
) -> None:
    with pytest.raises(ConsoleError, match="it ended with code 3"):
        run_job([module("import os; os._exit(3)")], {}, lambda _: None)


def test_each_line_of_a_job_is_seen_and_the_last_one_is_its_report(
    module: Callable[[str], str],
) -> None:
    lines = [{"kind": "progress", "done": 1}, {"kind": "report", "stocks": 1}]
    text = "\n".join(f"print({json.dumps(line)!r}, flush=True)" for line in lines)
    seen: list[Any] = []
    assert run_job([module(text)], {}, seen.append) == lines[1]
    assert seen == lines
