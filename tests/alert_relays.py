"""Alert relays as separate processes, and the payloads that Alertmanager would post."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from streamdesk.contracts.events import AlertsNotified, AlertState, AlertStatus
from tests.dingtalk_server import SECRET
from tests.servers import LOOPBACK, free_port

BEGAN = datetime(2026, 11, 20, 15, 26, tzinfo=UTC)
RELAY_TOKEN = "an-example-of-a-token"  # noqa: S105 - made up
CONNECTIONS = 8
GUARD_SECONDS = 120.0  # only ends a wait that hangs


def alert(name: str = "RedisPELTooHigh", severity: str = "warning", **changes: Any) -> AlertState:
    """An alert, by default one that fires."""
    status: AlertStatus = changes.pop("status", "firing")
    values = {
        "fingerprint": name,
        "status": status,
        "name": name,
        "severity": severity,
        "started_at": BEGAN,
        "ended_at": BEGAN + timedelta(minutes=10) if status == "resolved" else None,
        **changes,
    }
    return AlertState.model_validate(values)


def notified(
    *alerts: AlertState, key: str = "", at: datetime | None = None, **changes: Any
) -> AlertsNotified:
    """A notification of these alerts; firing while one of them fires."""
    fires = any(each.status == "firing" for each in alerts)
    return AlertsNotified(
        group_key=key or f"group:{alerts[0].name}",
        status="firing" if fires else "resolved",
        received_at=at or datetime.now(UTC),
        alerts=alerts,
        **changes,
    )


def payload(
    name: str, status: str = "firing", severity: str = "warning", **labels: str
) -> dict[str, Any]:
    """What Alertmanager posts, of a group of one alert."""
    ended = BEGAN + timedelta(minutes=5)
    one = {
        "status": status,
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {
            "summary": f"{name} is wrong",
            "description": "132 entries are pending",
            "runbook_url": f"https://example.org/runbooks/{name}",
        },
        "startsAt": BEGAN.isoformat(),
        "endsAt": ended.isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": name,
    }
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "dingtalk",
        "groupLabels": {"alertname": name},
        "commonLabels": one["labels"],
        "commonAnnotations": one["annotations"],
        "externalURL": "http://alertmanager:9093",
        "alerts": [one],
    }


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + GUARD_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen"
        await asyncio.sleep(0.02)


class RelayProcess:
    """A relay.

    Args:
        folder: for its log.
        redis_url: where the queue is.
        robot_url: where messages go.
        environment: more settings.
    """

    def __init__(self, folder: Path, redis_url: str, robot_url: str, **environment: str) -> None:
        self.port, self.probe_port = free_port(), free_port()
        self.webhook = f"http://{LOOPBACK}:{self.port}/webhook"
        name = f"relay-{secrets.token_hex(3)}"
        self.log = folder / f"{name}.log"
        settings = {
            "REDIS_URL": redis_url,
            "DINGTALK_URL": robot_url,
            "DINGTALK_SECRET": SECRET,
            "DINGTALK_ANY_HOST": "true",
            "ALERT_RELAY_TOKEN": RELAY_TOKEN,
            "ALERT_RELAY_HOST": LOOPBACK,
            "ALERT_RELAY_PORT": str(self.port),
            "ALERT_RELAY_LEASE_SECONDS": "5",
            "BUS_LEASE_SECONDS": "5",
            "METRICS_HOST": LOOPBACK,
            "METRICS_PORT": str(self.probe_port),
            "LOG_FORMAT": "json",
            "INSTANCE": name,
            "NO_PROXY": LOOPBACK,
            **environment,
        }
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamdesk.alert_relay"],
                env=os.environ | settings,
                stdout=out,
                stderr=out,
            )

    async def ready(self) -> None:
        """Wait until it says so."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            deadline = time.monotonic() + GUARD_SECONDS
            while True:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                try:
                    answer = await client.get(f"http://{LOOPBACK}:{self.probe_port}/readyz")
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.is_success:
                    return
                await asyncio.sleep(0.05)

    async def post(self, *bodies: dict[str, Any], token: str = RELAY_TOKEN) -> list[int]:
        """As Alertmanager does; the statuses."""
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(trust_env=False, timeout=60, headers=headers) as client:
            return [(await client.post(self.webhook, json=each)).status_code for each in bodies]

    async def post_at_once(self, *bodies: dict[str, Any]) -> list[int]:
        """The same over several concurrent connections, in no order."""
        share = -(-len(bodies) // CONNECTIONS)
        rows = [bodies[at : at + share] for at in range(0, len(bodies), share)]
        return [code for codes in await asyncio.gather(*map(self._post, rows)) for code in codes]

    async def _post(self, bodies: Sequence[dict[str, Any]]) -> list[int]:
        return await self.post(*bodies)

    async def metric(self, name: str) -> float:
        """A sample, by its name and labels."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            text = (await client.get(f"http://{LOOPBACK}:{self.probe_port}/metrics")).text
        rows = (line.rpartition(" ") for line in text.splitlines())
        return next((float(value) for found, _, value in rows if found == name), 0.0)

    def logged(self) -> list[dict[str, Any]]:
        """What it logged."""
        return [json.loads(row) for row in self.log.read_text().splitlines() if row[:1] == "{"]

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, GUARD_SECONDS)
