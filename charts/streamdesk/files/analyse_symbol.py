"""`helm test`: the analysis service answers for one symbol and for a batch."""

import json
import os
import sys
import time
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

SYMBOLS = ["AAPL.US", "BTCUSDT"]
PATIENCE_SECONDS = 60
POLL_SECONDS = 0.5


def ask(path: str, body: object) -> Any:  # noqa: ANN401 - any JSON
    """The data of a response; ends the test if the response reports an error.

    Network policies take effect a moment after a pod has started: until then connections are
    refused, and are tried again.
    """
    url = f"{os.environ['ANALYSIS_URL']}/api/gainer-analysis/{path}"
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - our own Service
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own Service
                envelope = json.load(answer)
            break
        except URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > deadline:
                sys.exit(f"{url}: {error}")
            time.sleep(POLL_SECONDS)
    if envelope["code"] != 1:
        sys.exit(f"{url}: {envelope['msg']}")
    return envelope["data"]


def main() -> None:
    """Request an analysis of one symbol, then a batch."""
    one = ask("analyze-symbol", {"symbol": SYMBOLS[0]})
    sys.stdout.write(f"{SYMBOLS[0]}: {one['state']}, score {one['score']}, as of {one['as_of']}\n")
    batch = ask("analyze-batch", {"symbols": SYMBOLS})
    if batch["succeeded"] != len(SYMBOLS):
        sys.exit(f"a batch of {len(SYMBOLS)} has errors: {batch['errors']}")
    sys.stdout.write(f"a batch of {len(SYMBOLS)} is answered\n")


if __name__ == "__main__":
    main()
