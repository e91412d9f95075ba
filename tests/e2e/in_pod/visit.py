"""Runs in a pod: visits the gateway until standard input ends, a new connection each time.

Argument: URL. Prints JSON: how many answers of each status, and what failed otherwise.
"""

import collections
import json
import sys
import threading
import time
import urllib.error
import urllib.request

PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 30


def visit(url: str) -> str:
    """One visit: the status, or what went wrong."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - the test's own URL
            answer.read()
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return repr(error)


def main(url: str) -> None:
    """Visit until standard input ends, and print the counts."""
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    answers: collections.Counter[str] = collections.Counter()
    while not ended.is_set():
        answers[visit(url)] += 1
        time.sleep(PAUSE_SECONDS)
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
