"""No stock is computed twice and no event published twice, whenever the job is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamdesk.analysis.adapters.run_folder.part_files import read_part
from streamdesk.analysis.domain.job import new_percent
from streamdesk.bus import Bus, Message
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import StockIndicatorsCompleted, TaskCompleted, TaskProgressed
from streamdesk.market.store import BarStore

StoreOf = Callable[..., BarStore]
EventsOf = Callable[[Bus], Awaitable[list[Message[Event]]]]

KILLS = int(os.environ.get("JOB_TEST_KILLS", "10"))
STOCKS = 160
MOST_KILLS = KILLS + 20
LINES = 10  # of progress: the beginning, eight chunks, the end
WORKER = "streamdesk.analysis.adapters.process_pool.worker"


@dataclass
class Storm:
    """Jobs that are started and killed; what was on disk after each kill."""

    store: Path
    environment: dict[str, str]
    dice: random.Random
    run: int = 1
    killed_with: Counter[str] = field(default_factory=Counter)

    @property
    def run_id(self) -> str:
        return f"storm-{self.run}"

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "streamdesk.analysis", "indicators", "--run-id", self.run_id],
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill_one(self) -> None:
        """Kill the job after so many of its lines and a moment; start a new run after an end."""
        before, job = self.parts(), self.start()
        assert job.stdout is not None
        with job:
            lines = [job.stdout.readline() for _ in range(self.dice.randrange(LINES))]
            time.sleep(self.dice.uniform(0, 0.05))
            os.kill(job.pid, signal.SIGKILL)
            lines += job.stdout.readlines()
        there = self.parts()
        # What was computed stays the same file: it was not computed again.
        assert {name: there[name] for name in before} == before
        if any('"report"' in line for line in lines):
            self.killed_with["completed"] += 1
            self.run += 1
        elif not there:
            self.killed_with["nothing computed"] += 1
        elif len(there) == LINES - 2:
            self.killed_with["all computed, not all published"] += 1
        else:
            self.killed_with["some computed"] += 1

    def parts(self) -> dict[str, tuple[int, int]]:
        """Each result file of the run: which file it is, and since when."""
        found = self.store.glob(f"indicators/day=*/run={self.run_id}/part-*.parquet")
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}

    def finish(self) -> dict[str, Any]:
        """Let the last run come to its end; its report."""
        before, job = self.parts(), self.start()
        out, _ = job.communicate(timeout=300)
        assert job.returncode == 0
        report: dict[str, Any] = json.loads(out.splitlines()[-1])
        assert report["kind"] == "report"
        assert report["resumed"] == len(before) * (STOCKS // (LINES - 2))
        assert report["computed"] == STOCKS - report["resumed"]
        return report


def processes_of(group: int) -> list[int]:
    """Processes of a session that are not merely waiting to be reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(words[3]) == group and words[0] != "Z":
            found.append(int(stat.parent.name))
    return found


async def test_a_job_killed_at_random_moments_computes_and_publishes_nothing_twice(
    store_of: StoreOf, valkey_url: str, tasks: Topic[Event], bus: Bus, on_the_stream: EventsOf
) -> None:
    store = store_of(STOCKS, bars=60).folder
    environment = {
        "BAR_STORE_FOLDER": str(store),
        "REDIS_URL": valkey_url,
        "TASKS_KEY": tasks.key,
        "JOB_WORKERS": "2",
    }
    storm = Storm(store, environment, random.Random(20261120))
    kills = 0
    while kills < KILLS or not storm.killed_with["some computed"]:
        storm.kill_one()
        kills += 1
        assert kills < MOST_KILLS, "no kill hit a job in the middle of its work"
    report = storm.finish()
    assert report["published"]
    messages = await on_the_stream(bus)
    assert max(Counter(message.id for message in messages).values()) == 1
    for run in range(1, storm.run + 1):
        assert_complete(storm, f"storm-{run}", [m for m in messages if m.key == f"storm-{run}"])
    print(f"{kills} kills: {dict(storm.killed_with)}; {len(messages)} events")  # noqa: T201 - shown with -s


def assert_complete(storm: Storm, run_id: str, messages: list[Message[Event]]) -> None:
    """Each stock has one row and one event, each percent one event, and the end one."""
    every = Counter(f"S{number:04}.US" for number in range(STOCKS))
    parts = storm.store.glob(f"indicators/day=*/run={run_id}/part-*.parquet")
    assert Counter(symbol for part in parts for symbol in read_part(part).symbols) == every
    events = [message.event for message in messages]
    assert Counter(e.symbol for e in events if isinstance(e, StockIndicatorsCompleted)) == every
    assert sum(isinstance(event, TaskCompleted) for event in events) == 1
    percents = [e.done * 100 // STOCKS for e in events if isinstance(e, TaskProgressed)]
    assert sorted(percents) == [
        percent for done in range(STOCKS + 1) if (percent := new_percent(done, STOCKS)) is not None
    ]


def test_the_processes_of_a_killed_job_end_by_themselves(
    store_of: StoreOf, valkey_url: str, tasks: Topic[Event]
) -> None:
    environment = {
        "BAR_STORE_FOLDER": str(store_of(STOCKS).folder),
        "REDIS_URL": valkey_url,
        "TASKS_KEY": tasks.key,
    }
    storm = Storm(Path(environment["BAR_STORE_FOLDER"]), environment, random.Random(1))
    job = storm.start()
    assert job.stdout is not None
    with job:
        job.stdout.readline()
        job.stdout.readline()  # a chunk is done: there are processes
        os.kill(job.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60  # only ends a wait that would never end
    while processes_of(job.pid):
        assert time.monotonic() < deadline, f"left behind: {processes_of(job.pid)}"
        time.sleep(0.02)
