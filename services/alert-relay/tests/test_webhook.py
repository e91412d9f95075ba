"""What Alertmanager posts, and what it is answered."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from streamdesk.alert_relay.adapters.alertmanager import read_notification
from streamdesk.alert_relay.application.queue_notification import QueueNotification
from streamdesk.alert_relay.entrypoints.http import LARGEST_BODY_BYTES, application
from streamdesk.bus import BusUnavailableError, QueueFullError
from streamdesk.contracts.events import AlertsNotified
from tests.alert_relays import RELAY_TOKEN, payload

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)


class Queue:
    """A queue that stores events, or fails."""

    def __init__(self) -> None:
        self.events: list[AlertsNotified] = []
        self.error: Exception | None = None

    async def publish(self, event: AlertsNotified) -> None:
        if self.error is not None:
            raise self.error
        self.events.append(event)


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
async def client(queue: Queue) -> AsyncIterator[httpx.AsyncClient]:
    app = application(QueueNotification(queue.publish, lambda: NOW), RELAY_TOKEN)
    headers = {"authorization": f"Bearer {RELAY_TOKEN}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://relay", headers=headers
    ) as opened:
        yield opened


def read(body: dict[str, Any]) -> AlertsNotified:
    return read_notification(json.dumps(body).encode(), NOW)


def test_a_notification_is_shortened_to_what_people_read() -> None:
    event = read(payload("Lagging", severity="critical", group="order-executors"))
    (one,) = event.alerts
    assert (one.name, one.severity, one.status) == ("Lagging", "critical", "firing")
    assert (one.where, one.summary) == ("group order-executors", "Lagging is wrong")
    assert (one.detail, one.ended_at) == ("132 entries are pending", None)
    assert one.runbook_url == "https://example.org/runbooks/Lagging"


def test_of_several_alerts_each_shows_what_distinguishes_it() -> None:
    body = payload("Lagging", group="order-executors", pod="pod-1")
    body["alerts"].append(json.loads(json.dumps(body["alerts"][0])))
    body["alerts"][1]["labels"]["pod"] = "pod-2"
    body["commonLabels"] = {"alertname": "Lagging", "group": "order-executors"}
    assert [each.where for each in read(body).alerts] == ["pod pod-1", "pod pod-2"]


def test_of_too_many_alerts_those_that_fire_are_kept_and_the_rest_counted() -> None:
    body = payload("Lagging", "resolved")
    ended, fires = body["alerts"][0], payload("Lagging")["alerts"][0]
    body["alerts"] = [ended] * 1_200 + [fires]
    body["truncatedAlerts"] = 4
    event = read(body)
    assert (len(event.alerts), event.left_out) == (1_000, 205)
    assert event.alerts[0].status == "firing"


def test_texts_of_any_length_and_strange_labels_are_taken() -> None:
    body = payload("L" * 500, severity="s" * 500, pod="p" * 5_000)
    body["groupKey"] = "k" * 5_000
    body["alerts"][0]["annotations"] = {
        "description": "line\nline " * 1_000,
        "runbook_url": "u" * 900,
    }
    del body["alerts"][0]["fingerprint"]
    event = read(body)
    assert len(event.group_key) <= 2_000
    assert "\n" not in event.alerts[0].detail
    assert event.alerts[0].runbook_url == ""
    assert event.alerts[0].fingerprint


async def test_a_request_with_the_token_is_queued(client: httpx.AsyncClient, queue: Queue) -> None:
    answer = await client.post("/webhook", json=payload("Lagging"))
    assert (answer.status_code, answer.json()) == (200, {"queued": 1})
    assert [event.group_key for event in queue.events] == ['{}:{alertname="Lagging"}']


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", f"Basic {RELAY_TOKEN}", "Bearer ü"]
)
async def test_a_request_without_it_learns_what_is_missing(
    header: str, client: httpx.AsyncClient, queue: Queue
) -> None:
    answer = await client.post(
        "/webhook", json=payload("Lagging"), headers={b"authorization": header.encode()}
    )
    assert answer.status_code == 401
    assert "ALERT_RELAY_TOKEN" in answer.json()["error"]
    assert answer.headers["www-authenticate"] == "Bearer"
    assert queue.events == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": "3"}, "version"),
        ({"alerts": []}, "alerts"),
        ({"groupKey": ""}, "groupKey"),
        ({"status": "burning"}, "status"),
        ({"alerts": [{"status": "firing", "labels": {}}]}, "startsAt"),
    ],
)
async def test_what_is_no_notification_is_refused_and_says_why(
    change: dict[str, Any], complaint: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/webhook", json=payload("Lagging") | change)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]


async def test_what_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/webhook", content=b"x" * (LARGEST_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert "max_alerts" in answer.json()["error"]


@pytest.mark.parametrize("error", [BusUnavailableError("down"), QueueFullError("alerts", 1, 1)])
async def test_what_the_queue_does_not_take_is_to_be_sent_again(
    error: Exception, client: httpx.AsyncClient, queue: Queue
) -> None:
    queue.error = error
    answer = await client.post("/webhook", json=payload("Lagging"))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


async def test_elsewhere_there_is_nothing(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/webhook"), await client.post("/other")):
        assert answer.status_code in (404, 405)
        assert "POST /webhook" in answer.json()["error"]
