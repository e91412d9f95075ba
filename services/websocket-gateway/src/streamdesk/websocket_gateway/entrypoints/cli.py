"""Makes a token: `python -m streamdesk.websocket_gateway.entrypoints.cli --sub desk --hours 12`.

Run where GATEWAY_JWT_SECRET is set as for the gateway itself, as inside its pod.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

import jwt

from streamdesk.websocket_gateway.config import MIN_SECRET_BYTES

SECONDS_PER_HOUR = 3_600


def mint(secret: str, *, sub: str, hours: float, channels: Sequence[str], publish: bool) -> str:
    """A token that the gateway with this secret takes.

    Args:
        secret: the shared secret of HS256.
        sub: whose token it is.
        hours: how long it is good, from now.
        channels: what it may join; empty for all `events:` channels.
        publish: whether it may send.

    Raises:
        ValueError: the secret is too short, or the time is not above 0.
    """
    length = len(secret.encode())
    if length < MIN_SECRET_BYTES:
        raise ValueError(
            f"GATEWAY_JWT_SECRET has {length} bytes: set it as for the gateway, "
            f"{MIN_SECRET_BYTES} bytes or more"
        )
    if hours <= 0:
        raise ValueError(f"--hours {hours:g}: expected more than 0")
    claims = {"sub": sub, "exp": int(time.time() + hours * SECONDS_PER_HOUR), "publish": publish}
    if channels:
        claims["channels"] = list(channels)
    return jwt.encode(claims, secret, algorithm="HS256")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a token to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sub", required=True, help="whose token it is")
    parser.add_argument("--hours", type=float, default=1, help="how long it is good (1)")
    parser.add_argument("--channel", action="append", default=[], help="what it may join (all)")
    parser.add_argument("--publish", action="store_true", help="let it send, too")
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
