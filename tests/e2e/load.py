"""Signals that are published while something happens, and which of them were acknowledged."""

import contextlib
import subprocess
import threading

END_SECONDS = 180  # a publish waits a minute for a server


class Load:
    """The output of a publisher in a pod so far.

    Args:
        prefix: of its signals' ids.
        process: the publisher; ends with its standard input.
    """

    def __init__(self, prefix: str, process: subprocess.Popen[str]) -> None:
        self.prefix = prefix
        self.acked: set[str] = set()
        self.unknown: dict[str, str] = {}
        self._finished = False
        self._process = process
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "acked":
                self.acked.add(rest.split()[0])
            elif word.startswith("unknown:"):
                self.unknown[rest.split()[0]] = word.partition(":")[2]
            elif word == "done":
                self._finished = True

    @property
    def finished(self) -> bool:
        """Whether it has published all that it was to."""
        return self._finished

    def end(self) -> None:
        """Stop it, and wait for the rest of its output."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended before
            self._process.stdin.close()
        self._process.wait(END_SECONDS)
        self._reader.join(END_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert self._finished, (
            f"the publisher ended early, with {self._process.returncode}, after "
            f"{len(self.acked)} signals"
        )
