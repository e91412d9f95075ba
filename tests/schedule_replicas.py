"""Processes that share a schedule, the clock that they go by, and what they did."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

PROGRAM = Path(__file__).with_name("schedule_replica.py")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
GUARD_SECONDS = 120  # only ends a wait that hangs


def minutes(number: float) -> datetime:
    """So many after noon."""
    return NOON + timedelta(minutes=number)


def wait_for(holds: Callable[[], bool], what: str) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + GUARD_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


@dataclass(frozen=True)
class Note:
    """A line of `fires`."""

    word: str
    slot: datetime
    attempt: int
    pid: int


class Replicas:
    """Starts processes of `schedule_replica.py`; ends them with the test."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._name = f"test-{secrets.token_hex(4)}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.set_clock(minutes(1))

    def start(self, count: int) -> list[int]:
        """Start more replicas; returns their process ids once they run."""
        pids = []
        for _ in range(count):
            process = subprocess.Popen(
                [sys.executable, PROGRAM, self._url, self._folder, self._name]
            )
            self._processes.append(process)
            pids.append(process.pid)
        for pid in pids:
            wait_for((self._folder / f"ready-{pid}").exists, "a start")
        return pids

    def set_clock(self, now: datetime) -> None:
        """The time for all of them, at one moment."""
        new = self._folder / "clock-new"
        new.write_text(str(now.timestamp()))
        new.rename(self._folder / "clock")

    def hold(self, *, on: bool) -> None:
        """Whether work lasts."""
        path = self._folder / "hold"
        path.touch() if on else path.unlink()

    def notes(self, word: str) -> list[Note]:
        """What was noted so far under this word: begun, ended, cancelled."""
        path = self._folder / "fires"
        lines = path.read_text().splitlines() if path.exists() else []
        notes = []
        for line in lines:
            said, slot, attempt, pid = line.split()
            moment = datetime.fromtimestamp(int(slot), UTC)
            notes.append(Note(said, moment, int(attempt), int(pid)))
        return [note for note in notes if note.word == word]

    def fired(self) -> Counter[datetime]:
        """How often each slot was fired."""
        return Counter(note.slot for note in self.notes("begun") if note.attempt == 1)

    def wait_for_end_of(self, slot: datetime) -> None:
        """Until the work of a slot is over."""
        wait_for(lambda: any(note.slot == slot for note in self.notes("ended")), f"{slot}")

    def wait_for_begin_of(self, slot: datetime, attempt: int = 1) -> Note:
        """Wait until the action of a slot is in progress."""
        found: list[Note] = []

        def begun() -> bool:
            notes = self.notes("begun")
            found[:] = [note for note in notes if (note.slot, note.attempt) == (slot, attempt)]
            return bool(found)

        wait_for(begun, f"attempt {attempt} at {slot}")
        return found[0]

    @property
    def alive(self) -> list[int]:
        """Process ids of those that run."""
        return [process.pid for process in self._processes if process.poll() is None]

    def kill(self, pid: int) -> None:
        """SIGKILL."""
        process = next(process for process in self._processes if process.pid == pid)
        process.kill()
        process.wait(GUARD_SECONDS)

    def freeze(self, pid: int) -> None:
        """Let it hang."""
        os.kill(pid, signal.SIGSTOP)

    def thaw(self, pid: int) -> None:
        """Let it resume."""
        os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End all in order."""
        for process in self._processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.terminate()
        for process in self._processes:
            process.wait(GUARD_SECONDS)
