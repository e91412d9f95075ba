"""Other processes of a benchmark: one line of JSON in, one line of JSON out."""

import json
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
LONGEST_ANSWER_SECONDS = 180  # only ends a child that hangs


class ChildError(Exception):
    """A child process ended without a response."""


class Child:
    """A module run as a process of its own; ends with the block that it is used in."""

    def __init__(self, python: Path | str, module: str, *arguments: str | int) -> None:
        """Start `python -m module arguments…` in the checkout."""
        self._name = " ".join([module.rpartition(".")[2], *map(str, arguments)])
        self._process = subprocess.Popen(
            [str(python), "-m", module, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def tell(self, **values: Any) -> None:
        """Send one line."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(values) + "\n")

    def hear(self) -> dict[str, Any]:
        """Wait for one line.

        Raises:
            ChildError: none came; the child's errors are on stderr.
        """
        assert self._process.stdout
        patience = threading.Timer(LONGEST_ANSWER_SECONDS, self._process.kill)
        patience.start()
        try:
            line = self._process.stdout.readline()
        finally:
            patience.cancel()
        if not line:
            status = self._process.wait()
            raise ChildError(f"the process {self._name!r} ended with status {status}; see above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **values: Any) -> dict[str, Any]:
        """Send one line and wait for one."""
        self.tell(**values)
        return self.hear()
