"""Makes a token for the gateway, as in `mint --sub desk --hours 12`.

Run it where GATEWAY_JWT_SECRET is set as for the gateway itself, for example inside its pod.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from streamdesk.websocket_gateway.adapters.tokens import mint

PROGRAM = "python -m streamdesk.websocket_gateway.entrypoints.cli"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a token to standard output."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("mint", help="make a token")
    command.add_argument("--sub", required=True, help="the user the token is for")
    command.add_argument("--hours", type=float, default=1, help="hours it is valid (1)")
    command.add_argument(
        "--channel", action="append", default=[], help="a channel it may subscribe (all)"
    )
    command.add_argument("--publish", action="store_true", help="let it send events, too")
    given = parser.parse_args(arguments)
    try:
        token = mint(
            os.environ.get("GATEWAY_JWT_SECRET", ""),
            sub=given.sub,
            hours=given.hours,
            channels=given.channel,
            publish=given.publish,
        )
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{token}\n")


if __name__ == "__main__":
    main()
