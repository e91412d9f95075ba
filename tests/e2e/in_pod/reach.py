"""Runs in a pod: whether it gets through to an address over HTTP; prints `reached` or `refused`.

Argument: URL.
"""

import sys
import urllib.error
import urllib.request

PATIENCE_SECONDS = 5


def main(url: str) -> None:
    """Try once; any answer will do."""
    try:
        urllib.request.urlopen(url, timeout=PATIENCE_SECONDS).close()  # noqa: S310 - the test's own URL
        word = "reached"
    except urllib.error.HTTPError:
        word = "reached"
    except OSError:
        word = "refused"
    sys.stdout.write(word)


if __name__ == "__main__":
    main(sys.argv[1])
