"""What waits, what people know, and what becomes of a message."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from streamdesk.alert_relay.domain.alert_group import AlertGroup
from streamdesk.alert_relay.domain.journal import (
    BLOCKED_SECONDS,
    MOST_REFUSALS,
    Admission,
    AlertJournal,
)
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome, RobotReply
from streamdesk.contracts.events import AlertsNotified
from tests.alert_relays import BEGAN, alert, notified

NOW = 1_795_000_000.0
REPEAT_SECONDS = 3_600.0
DELIVERED = RobotReply(DeliveryOutcome.DELIVERED)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


class Desk:
    """A journal, and the ids of its events."""

    def __init__(self) -> None:
        self.journal = AlertJournal()
        self.count = 0

    def admit(self, event: AlertsNotified, event_id: str = "", seconds: float = 0.0) -> Admission:
        self.count += 1
        name = event_id or str(self.count)
        return self.journal.admit(event, name, now=NOW + seconds, repeat_seconds=REPEAT_SECONDS)

    def send(self, answer: RobotReply = DELIVERED, seconds: float = 0.0) -> list[AlertGroup]:
        self.journal.record_sending("message", list(self.journal.waiting.values()), NOW + seconds)
        # As another process would find it.
        self.journal = AlertJournal.model_validate_json(self.journal.model_dump_json())
        return self.journal.record_reply(answer, NOW + seconds)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_same_news_waits_once(desk: Desk) -> None:
    assert desk.admit(notified(alert())) == "new"
    assert desk.admit(notified(alert())) == "duplicate"
    assert len(desk.journal.waiting) == 1


def test_what_people_know_is_not_reported_again_before_its_time(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    desk.send()
    assert desk.admit(notified(alert(), at=moment(60)), seconds=60) == "duplicate"
    later = REPEAT_SECONDS + 1
    assert desk.admit(notified(alert(), at=moment(later)), seconds=later) == "new"
    (group,) = desk.journal.waiting.values()
    assert group.again


def test_an_event_that_the_bus_brings_again_is_known(desk: Desk) -> None:
    desk.admit(notified(alert(), key="g", at=moment(0)), "event")
    desk.send()
    desk.admit(notified(alert(status="resolved"), key="g", at=moment(1)))
    desk.send()
    assert desk.admit(notified(alert(), key="g", at=moment(0)), "event") == "repeated"


def test_one_more_alert_in_a_group_is_news(desk: Desk) -> None:
    desk.admit(notified(alert("a"), key="g", at=moment(0)))
    desk.send()
    assert desk.admit(notified(alert("a"), alert("b"), key="g", at=moment(1))) == "new"


def test_an_alert_that_fires_again_is_news(desk: Desk) -> None:
    desk.admit(notified(alert(), key="g", at=moment(0)))
    desk.send()
    again = alert(started_at=BEGAN + timedelta(hours=1))
    assert desk.admit(notified(again, key="g", at=moment(1))) == "new"


def test_what_resolves_while_it_waits_is_reported_once_as_resolved(desk: Desk) -> None:
    desk.admit(notified(alert(), key="g", at=moment(0)))
    assert desk.admit(notified(alert(status="resolved"), key="g", at=moment(1))) == "merged"
    (group,) = desk.journal.waiting.values()
    assert (group.status, len(group.alerts)) == ("resolved", 1)
    desk.send()
    assert desk.journal.waiting == {}


def test_merging_forgets_no_alert(desk: Desk) -> None:
    desk.admit(notified(alert("a"), key="g", at=moment(0)))
    desk.admit(notified(alert("b"), key="g", at=moment(1)))
    (group,) = desk.journal.waiting.values()
    assert [each.name for each in group.alerts] == ["a", "b"]


def test_news_that_was_overtaken_does_not_undo_what_people_know(desk: Desk) -> None:
    desk.admit(notified(alert("a", status="resolved"), key="g", at=moment(9)))
    desk.send()
    assert desk.admit(notified(alert("a"), key="g", at=moment(5))) == "duplicate"
    assert desk.admit(notified(alert("a"), alert("b"), key="g", at=moment(6))) == "new"
    (group,) = desk.journal.waiting.values()
    assert [each.name for each in group.alerts] == ["b"]


def test_what_comes_while_a_message_is_in_flight_is_reported_after_it(desk: Desk) -> None:
    desk.admit(notified(alert("a"), key="g", at=moment(0)))
    desk.journal.record_sending("message", list(desk.journal.waiting.values()), NOW)
    desk.admit(notified(alert("a", status="resolved"), key="g", at=moment(1)))
    desk.journal.record_reply(DELIVERED, NOW + 2)
    (group,) = desk.journal.waiting.values()
    assert group.status == "resolved"
    assert desk.journal.notified["g"].status == "firing"


def test_a_message_without_an_answer_is_kept_and_marked(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    desk.send(RobotReply(DeliveryOutcome.UNKNOWN, "no answer"))
    (group,) = desk.journal.waiting.values()
    assert group.possibly_sent
    assert desk.journal.quiet_until > NOW


def test_what_never_left_is_kept_unmarked_and_costs_nothing(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    desk.send(RobotReply(DeliveryOutcome.NOT_SENT, "refused"))
    (group,) = desk.journal.waiting.values()
    assert not group.possibly_sent
    assert desk.journal.sent == []


def test_a_message_counts_from_its_answer(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    desk.journal.record_sending("message", list(desk.journal.waiting.values()), NOW)
    desk.journal.record_reply(DELIVERED, NOW + 5)
    assert desk.journal.sent == [NOW + 5]


def test_a_blocked_robot_is_left_alone_for_ten_minutes(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    desk.send(RobotReply(DeliveryOutcome.BLOCKED, "302"))
    assert desk.journal.quiet_until == NOW + BLOCKED_SECONDS


def test_too_fast_waits_longer_each_time_and_forgets_that_after_a_success(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    waits = []
    for _ in range(5):
        desk.send(RobotReply(DeliveryOutcome.TOO_FAST, "130101"))
        waits.append(desk.journal.quiet_until - NOW)
    assert waits == [60, 120, 240, 480, 600]
    desk.send()
    assert (desk.journal.failures, desk.journal.quiet_until, desk.journal.trouble) == (0, 0, "")


def test_wrong_settings_stop_the_sender_until_it_works_again(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    desk.send(RobotReply(DeliveryOutcome.MISCONFIGURED, "errcode 310000: sign not match"))
    assert desk.journal.stopped
    assert "sign not match" in desk.journal.trouble
    desk.send()
    assert not desk.journal.stopped


def test_what_the_robot_refuses_is_given_up_after_a_few_attempts(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    refused = [
        desk.send(RobotReply(DeliveryOutcome.REFUSED, "errcode 1")) for _ in range(MOST_REFUSALS)
    ]
    assert [len(groups) for groups in refused] == [0] * (MOST_REFUSALS - 1) + [1]
    assert desk.journal.waiting == {}


def test_moments_that_a_clock_set_back_has_put_into_the_future_hold_nothing_up(desk: Desk) -> None:
    desk.journal.sent = [NOW + 86_400]
    desk.journal.quiet_until = NOW + 86_400
    desk.journal.forget(NOW, 60)
    assert desk.journal.sent == [NOW]
    assert desk.journal.quiet_until == NOW + BLOCKED_SECONDS


def test_the_stored_names_are_those_of_older_replicas(desk: Desk) -> None:
    desk.admit(notified(alert(), key="g", at=moment(0)))
    desk.journal.record_sending("message", list(desk.journal.waiting.values()), NOW)
    stored = json.loads(desk.journal.model_dump_json())
    assert {"told", "flight"} <= stored.keys()
    assert stored["waiting"]["g"]["perhaps_told"] is False


def test_what_was_reported_long_ago_is_forgotten(desk: Desk) -> None:
    desk.admit(notified(alert(), at=moment(0)))
    desk.send()
    desk.journal.forget(NOW + 8 * 86_400, 60)
    assert desk.journal.notified == {}
