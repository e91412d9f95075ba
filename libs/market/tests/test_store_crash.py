"""No written bar is lost, read in part, or read twice, whichever process is killed and when."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pyarrow import parquet

from streamdesk.market.series import to_milliseconds
from streamdesk.market.store import BarStore
from streamdesk.market.store.files import WRITING

CHILDREN = Path(__file__).with_name("store_children.py")
FIRST_MS = to_milliseconds(datetime(2026, 11, 18, 15, 0, tzinfo=UTC))  # as the children have it
KILLS = int(os.environ.get("CRASH_TEST_KILLS", "60"))
WRITERS = ("V", "W")
NEVER = 1_000_000

Key = tuple[str, int]


class Zygote:
    """Forks writers and tidiers; see store_children.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(CHILDREN)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.alive: set[int] = set()
        assert self._read() == "ready"

    def order(self, role: str, folder: Path, **more: Any) -> str:
        return self._ask({"role": role, "folder": str(folder), **more})

    def start(self, role: str, folder: Path, **more: Any) -> int:
        pid = int(self.order(role, folder, **more))
        self.alive.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        """Kill a child; it has ended when this returns."""
        self.alive.remove(pid)
        os.kill(pid, signal.SIGKILL)
        assert self._ask({"bury": pid}) == "buried"

    def _ask(self, order: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        for pid in list(self.alive):
            self.kill(pid)
        self._process.communicate()


@contextmanager
def zygote() -> Iterator[Zygote]:
    started = Zygote()
    try:
        yield started
    finally:
        started.end()


class Diary:
    """What writers noted: of each bar, the versions that a read may find."""

    def __init__(self, *logs: Path) -> None:
        self.least: dict[Key, int] = {}  # its write returned
        self.most: dict[Key, int] = {}  # its write began
        self.tries = 0
        self.wrote = 0
        self._tried: dict[tuple[Path, int], list[Key]] = {}
        self._read_bytes = dict.fromkeys(logs, 0)
        self.read_on()

    def read_on(self) -> None:
        """Take in what was noted since the last time."""
        for log, start in self._read_bytes.items():
            if not log.exists():
                continue
            with log.open("rb") as file:
                file.seek(start)
                whole = file.read().rpartition(b"\n")[0]
            self._read_bytes[log] = start + len(whole) + bool(whole)
            for line in whole.decode().splitlines():
                self._note(log, *line.split(" ", 1))

    def _note(self, log: Path, word: str, rest: str) -> None:
        if word == "tries":
            version, keys = json.loads(rest)
            tried = [(symbol, end_of(day, minute)) for symbol, day, minute in keys]
            self._tried[log, version] = tried
            self.most.update(dict.fromkeys(tried, version))
            self.tries += 1
        else:
            version = int(rest)
            self.least.update(dict.fromkeys(self._tried.pop((log, version)), version))
            self.wrote += 1


def end_of(day: int, minute: int) -> int:
    return FIRST_MS + day * 86_400_000 + minute * 60_000


def stored(folder: Path) -> dict[Key, tuple[float, float]]:
    """Version and price of every bar that a read finds. A series refuses two bars of one time."""
    series = BarStore(folder).read_market("US", 60, 100_000).values()
    return {
        (each.symbol, time): (volume, close)
        for each in series
        for time, volume, close in zip(each.timestamps, each.volume, each.close, strict=True)
    }


def assert_all_there(diary: Diary, found: dict[Key, tuple[float, float]]) -> None:
    """Every bar is there, as it was written last or later, and none is made up.

    The diary was read before the bars were: what its `least` names was on disk by then.
    """
    assert [key for key in diary.least if key not in found] == []
    least = dict(diary.least)
    diary.read_on()
    for key, (version, close) in found.items():
        assert least.get(key, 0) <= version <= diary.most[key]
        assert close == 100 + (key[1] - FIRST_MS) // 86_400_000 + version % 7


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


def copied(path: Path, number: int) -> Path:
    """A copy of a file or folder, with a name of its own."""
    copy = path.with_name(f"{path.name}-{number}")
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copy(path, copy)
    return copy


@dataclass
class Storm:
    """Writers and a tidier that are killed and started again; bars are read all the while."""

    children: Zygote
    folder: Path
    dice: random.Random
    running: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    diary: Diary = field(default_factory=Diary)
    longest_life_seconds: float = 0.0

    @property
    def logs(self) -> list[Path]:
        return [self.folder.with_name(f"{name}.log") for name in WRITERS]

    def start(self, name: str) -> None:
        if name == "tidier":
            self.running[name] = self.children.start("tidy", self.folder)
            return
        self.versions[name] = self.versions.get(name, 0) + 1_000_000
        self.running[name] = self.children.start(
            "write",
            self.folder,
            name=name,
            log=str(self.folder.with_name(f"{name}.log")),
            first=self.versions[name],
            seed=self.dice.random(),
        )

    def measure(self) -> None:
        """See how long a writer takes to its tenth write here; most are to live shorter."""
        began = time.monotonic()
        self.diary = Diary(*self.logs)
        while self.diary.wrote < 10 * len(WRITERS):
            assert time.monotonic() < began + 120, "the writers do not write"
            time.sleep(0.005)
            self.diary.read_on()
        self.longest_life_seconds = time.monotonic() - began

    def strike(self) -> None:
        time.sleep(self.dice.uniform(0, self.longest_life_seconds))
        name = self.dice.choice([*WRITERS, "tidier"])
        self.children.kill(self.running[name])
        self.kills += 1
        self.start(name)

    def look(self) -> None:
        self.diary.read_on()
        assert_all_there(self.diary, stored(self.folder))


def test_writers_and_a_tidier_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    with zygote() as children:
        storm = Storm(children, tmp_path / "store", random.Random(20261120))
        for name in (*WRITERS, "tidier"):
            storm.start(name)
        storm.measure()
        while storm.kills < KILLS:
            storm.strike()
            storm.look()
        for pid in list(children.alive):
            children.kill(pid)
        storm.look()
    diary = storm.diary
    BarStore(storm.folder).compact()
    storm.look()
    assert files(storm.folder, f"{WRITING}*") == []
    for part in files(storm.folder, "part-*.parquet"):
        assert parquet.ParquetFile(part).read().num_rows > 0
    print(  # noqa: T201 - shown with -s
        f"{storm.kills} kills, {diary.tries} writes begun, {diary.wrote} returned, "
        f"{len(diary.least)} bars"
    )


def test_a_writer_killed_before_each_of_its_steps_leaves_all_or_nothing_of_a_file(
    tmp_path: Path,
) -> None:
    steps, outcome = 0, ""
    with zygote() as children:
        write = partial(children.order, "write", name="W", times=1, days=1)
        base, noted = tmp_path / "base", tmp_path / "base.log"
        assert write(base, log=str(noted), first=1, seed=1, die_at=NEVER) == "done"
        while outcome != "done":
            steps += 1
            folder, log = copied(base, steps), copied(noted, steps)
            outcome = write(folder, log=str(log), first=2, seed=2, die_at=steps)
            assert outcome in {"killed", "done"}
            diary = Diary(log)
            assert diary.wrote == (2 if outcome == "done" else 1)
            assert_all_there(diary, stored(folder))
            # Another process continues with the same folder, and cleans up.
            assert write(folder, log=str(log), first=3, seed=3, die_at=NEVER) == "done"
            BarStore(folder).compact()
            assert files(folder, f"{WRITING}*") == []
            assert_all_there(Diary(log), stored(folder))
    assert steps > 10
    print(f"killed before each of {steps - 1} steps of a write")  # noqa: T201 - shown with -s


def test_a_tidier_killed_before_each_of_its_steps_changes_no_bar(tmp_path: Path) -> None:
    steps, outcome, base = 0, "", tmp_path / "base"
    with zygote() as children:
        log = tmp_path / "log"
        outcome = children.order(
            "write", base, name="W", log=str(log), first=1, seed=1, times=5, days=2, die_at=NEVER
        )
        assert outcome == "done"
        before = stored(base)
        assert_all_there(Diary(log), before)
        outcome = ""
        while outcome != "done":
            steps += 1
            folder = copied(base, steps)
            outcome = children.order("tidy", folder, times=1, die_at=steps)
            assert outcome in {"killed", "done"}
            assert stored(folder) == before
            BarStore(folder).compact()
            assert stored(folder) == before
            assert files(folder, f"{WRITING}*") == []
            first, last = sorted(folder.glob("bars/*/*/day=*"))
            assert len(files(first, "part-*.parquet")) == 1
            assert len(files(last, "part-*.parquet")) == 5  # too few to be merged on a day like it
    assert steps > 20
    print(f"killed before each of {steps - 1} steps of a merge")  # noqa: T201 - shown with -s
