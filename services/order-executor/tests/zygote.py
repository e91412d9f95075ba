"""Starts executors quickly: everything is imported once, each executor is a fork of that.

Says `ready` when that is done. Then reads one instance name a line from standard input, and answers
with the process id. What a fork runs is what `python -m streamdesk.order_executor` runs.
"""

import os
import signal
import sys

from streamdesk.order_executor.__main__ import main


def serve() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the killed
    _answer("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            log = os.open(os.environ["EXECUTOR_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.environ["INSTANCE"] = line.strip()
            main()
            os._exit(0)
        _answer(str(pid))


def _answer(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
