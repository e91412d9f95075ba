"""Starts the alert relay, or sends a test alert and ends."""

import sys

from streamdesk.alert_relay.config import NAME, Settings
from streamdesk.alert_relay.factory import build, try_directly, try_through_queue
from streamdesk.runtime import run


def main() -> None:
    """Run until stopped; with `test` as first argument, only send a test alert."""
    if sys.argv[1:2] == ["test"]:
        from streamdesk.alert_relay.entrypoints import cli  # noqa: PLC0415 - seldom needed

        sys.exit(cli.main(sys.argv[2:], try_directly, try_through_queue))
    run(NAME, Settings, build)


if __name__ == "__main__":
    main()
