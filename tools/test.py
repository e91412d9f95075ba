"""Run the tests: what `make test` calls.

Without arguments: all of them, in parallel, with the slowest listed, and with the coverage of the
members' own tests inside pytest's processes, which must reach the mark set in pyproject.toml.
Arguments go to pytest; when they choose a part of the tests (a path, -k, -m, --lf …) there is no
coverage. pytest's own closing line is the last line either way.

The tests' files are in memory where there is room (/dev/shm), unless TMPDIR says otherwise: the
ledgers wait for the disk at each commit, and what tests end are processes, never the machine.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MOST_WORKERS = 4  # more do not help: each collects all tests, and starts servers of its own
CHOOSING = {
    "-k", "-m", "--lf", "--last-failed", "--deselect", "--ignore", "--co", "--collect-only",
    "--pdb", "--help", "-h", "--version", "--fixtures", "--markers",
}  # fmt: skip
# The report, and the mark, come from `coverage report` below.
COVERAGE = ("--cov", "--cov-report=", "--cov-fail-under=0")
SLOWEST = "--slowest=40"
EXIT_INTERRUPTED = 130
MEMORY = Path("/dev/shm")  # noqa: S108 - the point is that it is in memory
ROOM_BYTES = 4 << 30
"""A whole run leaves some 500 MB."""


def chooses(arguments: list[str]) -> bool:
    """Whether the arguments choose a part of the tests, or do not run them."""
    return any(
        argument.partition("=")[0] in CHOOSING
        or argument[:2] in {"-k", "-m"}
        or (ROOT / argument.partition("::")[0]).exists()
        for argument in arguments
        if argument
    )


def pytest_command(arguments: list[str]) -> list[str]:
    """The command line of pytest, coverage aside."""
    words = [str(BIN / "python"), "-m", "pytest"]
    own = any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in arguments)
    if not own:
        # One more than there are cores: every third second a test only waits for a process.
        workers = min((os.cpu_count() or 1) + 1, MOST_WORKERS)
        words += ["-n", str(workers), "--dist=worksteal"]
    if sys.stdout.isatty():
        words += ["--color=yes"]
    return words + arguments


@contextmanager
def temporary_files() -> Iterator[None]:
    """Let the tests have their files in memory for the length of the block, if there is room."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    if "TMPDIR" in os.environ or not has_room or not os.access(MEMORY, os.W_OK):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="streamdesk-tests-", dir=MEMORY) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's server runs as another user
        os.environ["TMPDIR"] = folder
        yield


def main() -> int:
    """Run pytest, then hold coverage against its mark."""
    arguments = sys.argv[1:]
    words = pytest_command(arguments)
    with temporary_files():
        if chooses(arguments):
            return subprocess.run(words, cwd=ROOT, check=False).returncode
        return whole_run(words)


def whole_run(words: list[str]) -> int:
    """All tests with coverage; pytest's closing line comes last."""
    code, closing = with_last_line_held_back([*words, SLOWEST, *COVERAGE])
    covered = subprocess.run([str(BIN / "coverage"), "report"], cwd=ROOT, check=False).returncode
    print(closing)
    return code or covered


def with_last_line_held_back(words: list[str]) -> tuple[int, str]:
    """Run a program and show its output but for the last line; return its exit code and that."""
    held: deque[str] = deque()
    # Python 3.12 and later count lines nearly for free.
    core = {"COVERAGE_CORE": "sysmon"} if sys.version_info >= (3, 12) else {}
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **core}
    ) as process:
        for line in process.stdout or ():
            if line.strip():
                while held:
                    sys.stdout.write(held.popleft())
                sys.stdout.flush()
            held.append(line)
    return process.returncode, held[0].rstrip() if held else "pytest printed nothing"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
