"""Runs `migrate` in as many processes as its argument says, all at the same moment.

Everything is imported once; each process is a fork. Prints their exit codes in one line.
"""

import os
import sys

from streamdesk.order_executor.entrypoints.cli.tables import migrate
from streamdesk.order_executor.factory import open_executor


def main() -> None:
    number = int(sys.argv[1])
    gate, opened = os.pipe()
    children = [_child(gate, opened) for _ in range(number)]
    os.close(opened)  # every reader of the gate resumes
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.stdout.write(f"{codes}\n")


def _child(gate: int, opened: int) -> int:
    pid = os.fork()
    if pid == 0:
        os.close(opened)
        os.read(gate, 1)
        code = 1
        try:
            code = migrate(open_executor)
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid


if __name__ == "__main__":
    main()
