"""`python -m streamdesk.alert_relay test`: send a test alert, and report whether it was delivered.

It takes the queue of the running relay, within its quota. With --direct it goes straight to the
robot, to check the settings before anything runs. Standard output is one JSON object, the report.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from streamdesk.alert_relay.application.send_trial import ARRIVED
from streamdesk.alert_relay.config import NAME
from streamdesk.alert_relay.domain.alert_group import SEVERITIES
from streamdesk.bus import BusConfigError, BusError
from streamdesk.contracts.events import AlertsNotified, AlertState, AlertStatus
from streamdesk.runtime import BadSettingError

EXIT_FAILED = 1
EXIT_BAD_SETTING = 2

Events = Sequence[AlertsNotified]


def main(
    arguments: Sequence[str],
    send_directly: Callable[[Events], Awaitable[str]],
    send_through_queue: Callable[[Events, float], Awaitable[str]],
) -> int:
    """Send it; returns the exit code: 0 delivered, 1 not, 2 a bad setting or argument.

    Args:
        arguments: of the command line, after `test`.
        send_directly: sends events to the robot, and returns the outcome.
        send_through_queue: sends events through the running relay, and waits so many seconds.
    """
    options = _options(arguments)
    began = time.monotonic()

    async def send() -> str:
        if options.direct:
            return await send_directly(_events(options))
        return await send_through_queue(_events(options), options.wait)

    try:
        why = asyncio.run(send())
    except (BadSettingError, BusConfigError) as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        return EXIT_BAD_SETTING
    except BusError as error:
        why = f"Redis does not store it: {error}"
    seconds = round(time.monotonic() - began, 1)
    report = {"kind": "report", "succeeded": why == ARRIVED, "why": why, "seconds": seconds}
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    return 0 if why == ARRIVED else EXIT_FAILED


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m streamdesk.{NAME.replace('-', '_')} test",
        description="Sends a test alert through the running relay, and reports whether it arrived.",
    )
    parser.add_argument("--severity", choices=SEVERITIES, default="info")
    parser.add_argument("--resolved", action="store_true", help="then its resolution")
    parser.add_argument(
        "--direct", action="store_true", help="straight to the robot: no relay, no Redis"
    )
    parser.add_argument(
        "--wait", type=float, default=90.0, metavar="SECONDS", help="for it to arrive (90)"
    )
    return parser.parse_args(arguments)


def _events(options: argparse.Namespace) -> list[AlertsNotified]:
    key, began = f"test:{uuid4().hex}", datetime.now(UTC)
    states: list[AlertStatus] = ["firing", "resolved"] if options.resolved else ["firing"]
    return [_event(key, options.severity, status, began) for status in states]


def _event(key: str, severity: str, status: AlertStatus, began: datetime) -> AlertsNotified:
    now = datetime.now(UTC)
    alert = AlertState(
        fingerprint=key[-16:],
        status=status,
        name="StreamdeskTest",
        severity=severity,
        summary="A test: nobody has to do anything",
        detail="Alerts of the desk arrive here.",
        started_at=began,
        ended_at=now if status == "resolved" else None,
    )
    return AlertsNotified(group_key=key, status=status, received_at=now, alerts=(alert,))
