"""A run on disk: its plan, its result files, and marks for what was published.

    indicators/
      .lock                                   held while a job computes here; says which run
      day=2026-11-20/run=daily-2026-11-20/
        part-0000-1f3a77c2.parquet ...        results, one file a chunk, with its checksum
        _run/plan.json                        the chunks
        _run/published-0000 ...               the events of this chunk are published
        _run/told                             all events are, or there is no bus
        _run/*.tmp                            unfinished; the next attempt removes them

A file gets its name when it is complete and on disk. So a kill at any moment leaves a chunk either
done or not begun.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path

from streamdesk.analysis.adapters.run_folder.part_files import part_name, read_part
from streamdesk.analysis.domain.chunk import ChunkValues
from streamdesk.analysis.domain.job import (
    RemainingChunks,
    RunPlan,
    RunState,
    RunStatus,
    day_of,
    left,
    utc_day,
)
from streamdesk.analysis.errors import JobError, JobRunningError

RUN_ID = re.compile(r"[A-Za-z0-9_.\-]{1,100}")
PRIVATE = "_run"
_NUMBER = re.compile(r"(?:part|published)-(\d+)")


class RunFolder:
    """One run.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._private = path / PRIVATE
        self._plan = self._private / "plan.json"
        self._all_published = self._private / "told"

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.path.name.removeprefix("run=")

    def begin(self, plan: RunPlan) -> None:
        """Write the plan of a new run."""
        self._private.mkdir(parents=True, exist_ok=True)
        text = json.dumps(
            {
                "run_id": plan.run_id,
                "market": plan.market,
                "began_at": plan.began_at.isoformat(),
                "chunks": plan.chunks,
            }
        )
        # The content, then the name, then the folder: a plan that is there is whole, also after a
        # power failure, and a chunk always has the stocks that the plan of its run gives it.
        unfinished = self._private / "plan.tmp"
        with unfinished.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self._plan)
        _sync(self._private)

    def plan(self) -> RunPlan | None:
        """The plan; None where the run was not begun.

        Raises:
            JobError: the file cannot be read.
        """
        try:
            raw = json.loads(self._plan.read_bytes())
            return RunPlan(
                run_id=raw["run_id"],
                market=raw["market"],
                began_at=datetime.fromisoformat(raw["began_at"]),
                chunks=tuple(tuple(chunk) for chunk in raw["chunks"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JobError(
                f"the plan {self._plan} cannot be read ({error}); remove the folder {self.path} "
                "to compute the run anew"
            ) from error

    def left(self, plan: RunPlan) -> RemainingChunks:
        """The chunks that are not yet computed or published."""
        computed = _numbers(self.path.glob("part-*.parquet"))
        published = _numbers(self._private.glob("published-*"))
        return left(len(plan.chunks), computed, published)

    def clean(self) -> None:
        """Remove the temporary files of a killed job."""
        for path in self._private.glob("*.tmp"):
            path.unlink(missing_ok=True)

    def unfinished(self, number: int) -> Path:
        """The temporary file of a chunk."""
        return self._private / f"part-{number:04}-{os.getpid()}.tmp"

    def finish(self, number: int, checksum: int) -> None:
        """Give a chunk's file its name: from then on the chunk counts as computed."""
        self.unfinished(number).rename(self.path / part_name(number, checksum))
        _sync(self.path)

    def read(self, number: int) -> ChunkValues:
        """The values of a computed chunk.

        Raises:
            JobError: the file is damaged.
            OSError: it cannot be read.
        """
        return read_part(next(self.path.glob(f"part-{number:04}-*.parquet")))

    def mark_published(self, number: int) -> None:
        """Note that the events of this chunk are published."""
        (self._private / f"published-{number:04}").touch()

    def mark_all_published(self) -> None:
        """Note that all events of the run are published, or that there is no bus."""
        self._all_published.touch()

    @property
    def all_published(self) -> bool:
        """Whether all events of the run are published, or were not to be."""
        return self._all_published.exists()


class ResultsFolder:
    """All runs of the job.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = root / ".lock"

    def folder(self, run_id: str, now: datetime) -> RunFolder:
        """The folder of a run; it need not exist.

        Raises:
            JobError: the id is not valid.
        """
        if not RUN_ID.fullmatch(run_id):
            raise JobError(
                f"run id {run_id[:120]!r}: expected 1 to 100 letters, digits, or any of _ . -"
            )
        # A run that is resumed after midnight stays in the folder of the day on which it began.
        for path in self.root.glob(f"day=*/run={run_id}"):
            return RunFolder(path)
        day = day_of(run_id, utc_day(now))
        return RunFolder(self.root / f"day={day}" / f"run={run_id}")

    def newest(self, limit: int) -> list[RunFolder]:
        """The runs begun last, newest first."""
        begun = [
            (path.stat().st_mtime, path)
            for path in self.root.glob(f"day=*/run=*/{PRIVATE}/plan.json")
        ]
        return [RunFolder(path.parents[1]) for _, path in sorted(begun, reverse=True)[:limit]]

    def names(self) -> set[str]:
        """The ids of all begun runs."""
        return {folder.run_id for folder in self.newest(limit=100_000)}

    def prune(self, oldest: date) -> None:
        """Remove the runs of earlier days."""
        for path in self.root.glob("day=*"):
            if path.name < f"day={oldest}":
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def held(self, run_id: str) -> Iterator[None]:
        """Hold the lock of the folder: one process computes in it. The lock ends with the process.

        Raises:
            JobRunningError: another process holds it.
            OSError: the folder cannot be used.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            while not _locked(descriptor, fcntl.LOCK_EX):
                # `computing` of another process holds the lock too, shared and for an instant.
                # If a shared one is granted, that was the reason, and the exclusive one
                # is tried again; if not, another job holds the exclusive lock.
                if not _locked(descriptor, fcntl.LOCK_SH):
                    raise JobRunningError(
                        f"run {os.pread(descriptor, 100, 0).decode()} is in progress in "
                        f"{self.root}; wait until it has ended"
                    )
            # The id in the file is for messages and `computing`; the lock alone decides.
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, run_id.encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def computing(self) -> str | None:
        """The id of the run that a process computes now; None without one."""
        with suppress(OSError), self._lock.open("rb") as file:
            if not _locked(file.fileno(), fcntl.LOCK_SH):
                return file.read().decode()
        return None

    def status(self, folder: RunFolder) -> RunStatus | None:
        """The status of a run; None where it was not begun.

        Raises:
            JobError: its plan cannot be read.
        """
        plan = folder.plan()
        if plan is None:
            return None
        rest = folder.left(plan)
        state: RunState
        if self.computing() == plan.run_id:
            state = "computing"
        elif rest.to_compute:
            state = "interrupted"
        else:
            state = "completed" if folder.all_published else "unpublished"
        sizes = [len(chunk) for chunk in plan.chunks]
        return RunStatus(
            run_id=plan.run_id,
            state=state,
            market=plan.market,
            began_at=plan.began_at,
            stocks=plan.stocks,
            computed=plan.stocks - sum(sizes[at] for at in rest.to_compute),
            published=sum(sizes[at] for at in rest.published),
        )


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _numbers(paths: Iterator[Path]) -> set[int]:
    return {int(found[1]) for path in paths if (found := _NUMBER.match(path.name))}


def _sync(folder: Path) -> None:
    """Write the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
