"""Starts the alert relay, or sends a test alert and ends."""

import sys

from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop; with `test` as first argument, a test alert alone."""
    if sys.argv[1:2] == ["test"]:
        from streamdesk.alert_relay.entrypoints import cli  # noqa: PLC0415 - the one without the other

        sys.exit(cli.main(sys.argv[2:]))
    from streamdesk.alert_relay.config import Settings  # noqa: PLC0415 - as above
    from streamdesk.alert_relay.factory import NAME, build  # noqa: PLC0415 - as above

    run(NAME, Settings, build)


if __name__ == "__main__":
    main()
