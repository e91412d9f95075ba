"""Starts executors quickly: everything is imported once, each executor is a fork of that.

Reads one instance name a line from standard input, answers with the process id. What a fork runs
is what `python -m streamdesk.order_executor` runs.
"""

import os
import signal
import sys

from streamdesk.order_executor.__main__ import main


def serve() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the killed
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
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
