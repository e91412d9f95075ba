"""`python -m streamdesk.alert_relay test`: one test alert, and whether it arrived.

Over the queue of the running relay, whose pace it keeps; or with --direct straight to the robot, to
try its settings before anything runs. Standard output is one JSON object, the report.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from streamdesk.alert_relay.adapters.journal_store import look
from streamdesk.alert_relay.config import QueueSettings, Settings
from streamdesk.alert_relay.domain.alert_group import SEVERITIES, AlertGroup
from streamdesk.alert_relay.domain.journal import AlertJournal
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome
from streamdesk.alert_relay.factory import NAME, bus_of, robot_of, writer_of
from streamdesk.bus import Bus, BusConfigError, BusError
from streamdesk.contracts.events import AlertsNotified, AlertState, AlertStatus
from streamdesk.contracts.topics import ALERTS
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.settings_report import load

EXIT_FAILED = 1
EXIT_BAD_SETTING = 2
LOOK_SECONDS = 0.2
ARRIVED = "arrived"


def main(arguments: Sequence[str]) -> int:
    """Send it; returns the exit code: 0 arrived, 1 not, 2 a bad setting or argument.

    Args:
        arguments: of the command line, after `test`.
    """
    options = _options(arguments)
    began = time.monotonic()
    try:
        why = asyncio.run(_direct(options) if options.direct else _over_the_queue(options))
    except (BadSettingError, BusConfigError) as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        return EXIT_BAD_SETTING
    except BusError as error:
        why = f"Redis does not take it: {error}"
    seconds = round(time.monotonic() - began, 1)
    report = {"kind": "report", "succeeded": why == ARRIVED, "why": why, "seconds": seconds}
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    return 0 if why == ARRIVED else EXIT_FAILED


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m streamdesk.{NAME.replace('-', '_')} test",
        description="Sends a test alert over the relay that runs, and says whether it arrived.",
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


def _alert(key: str, severity: str, status: AlertStatus, began: datetime) -> AlertsNotified:
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


def _events(options: argparse.Namespace) -> list[AlertsNotified]:
    key, began = f"test:{uuid4().hex}", datetime.now(UTC)
    states: list[AlertStatus] = ["firing", "resolved"] if options.resolved else ["firing"]
    return [_alert(key, options.severity, status, began) for status in states]


async def _direct(options: argparse.Namespace) -> str:
    settings = load(Settings)
    robot, writer = robot_of(settings), writer_of(settings)
    try:
        for event in _events(options):
            answer = await robot.send(writer.message([AlertGroup.of(event)], time.time()))
            if answer.outcome is not DeliveryOutcome.DELIVERED:
                return answer.reason
    finally:
        await robot.close()
    return ARRIVED


async def _over_the_queue(options: argparse.Namespace) -> str:
    settings = load(QueueSettings)
    topic = ALERTS.configured(key=settings.alerts_key)
    async with Bus.connect(bus_of(settings)) as bus:
        for event in _events(options):
            await bus.publish(topic, event)
            why = await _arrival(bus, event, options.wait)
            if why != ARRIVED:
                return why
    return ARRIVED


async def _arrival(bus: Bus, event: AlertsNotified, wait_seconds: float) -> str:
    deadline = time.monotonic() + wait_seconds
    while True:
        journal, at_work = await look(bus.keys)
        told = journal.notified.get(event.group_key)
        if told is not None and told.status == event.status:
            return ARRIVED
        if journal.stopped and event.group_key in journal.waiting:
            return f"the robot does not take our settings: {journal.trouble}"
        if time.monotonic() > deadline:
            return _why_not(journal, at_work=at_work)
        await asyncio.sleep(LOOK_SECONDS)


def _why_not(journal: AlertJournal, *, at_work: bool) -> str:
    if not at_work:
        return "no alert relay runs on this Redis: start it, the test alert waits in the queue"
    if journal.trouble:
        return f"not yet, the relay tries again: {journal.trouble}"
    return f"not yet: {len(journal.waiting)} groups wait for their turn"
