"""A real Alertmanager on loopback: Debian's package prometheus-alertmanager."""

import asyncio
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from tests.servers import LOOPBACK, free_port

NAMES = ("prometheus-alertmanager", "alertmanager")
GUARD_SECONDS = 120.0

CONFIG = """
route:
  receiver: dingtalk
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: dingtalk
    webhook_configs:
      - url: {url}
        send_resolved: true
        http_config:
          authorization:
            credentials: {token}
"""


def find_alertmanager() -> str | None:
    """The program, if there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Alertmanager:
    """An Alertmanager that posts all its alerts to a webhook.

    Args:
        folder: for its settings and data.
        webhook: where it posts to.
        token: which it shows there.

    Attributes:
        began: since when its alerts fire.
    """

    def __init__(self, folder: Path, webhook: str, token: str) -> None:
        program = find_alertmanager()
        assert program is not None
        folder.mkdir(exist_ok=True)
        config = folder / "alertmanager.yml"
        config.write_text(CONFIG.format(url=webhook, token=token))
        self.began = datetime.now(UTC)
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._log = (folder / "alertmanager.log").open("wb")
        self._process = subprocess.Popen(
            [
                program, f"--config.file={config}", f"--storage.path={folder / 'data'}",
                f"--web.listen-address={LOOPBACK}:{self.port}", "--cluster.listen-address=",
            ],
            stdout=self._log,
            stderr=self._log,
        )  # fmt: skip

    async def ready(self) -> None:
        """Wait until it says so."""
        deadline = time.monotonic() + GUARD_SECONDS
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            while True:
                assert self._process.poll() is None, "Alertmanager ended"
                assert time.monotonic() < deadline, "Alertmanager is not ready"
                try:
                    if (await client.get(f"{self.url}/-/ready")).is_success:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.05)

    async def set_alerts(self, *names: str, ended: bool = False, severity: str = "warning") -> None:
        """Report alerts as firing or resolved, as Prometheus does."""
        now = datetime.now(UTC)
        alerts = [
            {
                "startsAt": self.began.isoformat(),
                "labels": {"alertname": name, "severity": severity, "group": "order-executors"},
                "annotations": {"summary": f"{name} is wrong"},
                **({"endsAt": now.isoformat()} if ended else {}),
            }
            for name in names
        ]
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            (await client.post(f"{self.url}/api/v2/alerts", json=alerts)).raise_for_status()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)
        self._log.close()
