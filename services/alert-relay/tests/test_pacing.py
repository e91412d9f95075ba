"""Never too fast, what is critical first, none forgotten: on a clock of the test's own."""

import random
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.alert_relay.domain.journal import AlertJournal
from streamdesk.alert_relay.domain.message import AlertMessage, MessageWriter, Style
from streamdesk.alert_relay.domain.pacing import Rest, Send, SendQuota, next_step
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome, RobotReply
from tests.alert_relays import alert, notified

NOW = 1_795_000_000.0
QUOTA = SendQuota(messages=18, window_seconds=60.0, reserved=3)
WRITER = MessageWriter(Style())
ROBOT_LIMIT = 20


class Minutes:
    """A relay and its robot, on a clock that only this class moves."""

    def __init__(self, seed: int = 1) -> None:
        self.journal = AlertJournal()
        self.now = NOW
        self.dice = random.Random(seed)
        self.arrived: list[tuple[float, AlertMessage]] = []
        self.count = 0

    def alert(self, name: str, severity: str = "warning") -> None:
        self.count += 1
        at = datetime.fromtimestamp(self.now, UTC)
        event = notified(alert(name, severity), at=at)
        self.journal.admit(event, str(self.count), now=self.now, repeat_seconds=3_600)

    def run(self, until: float) -> None:
        """Send what may be sent before that moment; each message takes a while."""
        while self.now < until:
            step = next_step(self.journal, QUOTA, self.now)
            if isinstance(step, Rest):
                self.now = min(max(step.until, self.now + 1e-3), until)
                continue
            message = WRITER.message(step.groups, self.now)
            self.journal.record_sending("message", message.groups, self.now)
            arrives = self.now + self.dice.uniform(0, 2)
            self.arrived.append((arrives, message))
            self.now = arrives + self.dice.uniform(0, 2)
            self.journal.record_reply(RobotReply(DeliveryOutcome.DELIVERED), self.now)
            self.journal.forget(self.now, QUOTA.window_seconds)

    @property
    def reported(self) -> list[str]:
        return [group.alerts[0].name for _, each in self.arrived for group in each.groups]

    @property
    def most_in_a_minute(self) -> int:
        times = [at for at, _ in self.arrived]
        return max(sum(at - 60 < other <= at for other in times) for at in times)


def test_500_alerts_within_a_minute_are_all_reported_once_and_never_too_fast() -> None:
    world = Minutes()
    for number in range(500):
        world.alert(f"Alert{number}")
        world.run(NOW + (number + 1) * 60 / 500)
    world.run(NOW + 600)
    assert sorted(world.reported) == sorted(f"Alert{number}" for number in range(500))
    assert world.most_in_a_minute <= QUOTA.messages < ROBOT_LIMIT


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.sampled_from(["critical", "warning", "info"])), max_size=120
    ),
    st.integers(0, 1_000),
)
def test_whatever_comes_is_reported_once_within_the_quota(
    arrivals: list[tuple[float, str]], seed: int
) -> None:
    world = Minutes(seed)
    for number, (pause, severity) in enumerate(arrivals):
        world.alert(f"Alert{number}", severity)
        world.run(world.now + pause)
    world.run(world.now + 3_600)
    assert sorted(world.reported) == sorted(f"Alert{number}" for number in range(len(arrivals)))
    assert not world.arrived or world.most_in_a_minute <= QUOTA.messages


def test_few_are_reported_one_by_one_and_the_critical_one_first() -> None:
    world = Minutes()
    for name, severity in (("A", "info"), ("B", "warning"), ("C", "critical")):
        world.alert(name, severity)
    world.run(NOW + 60)
    assert world.reported == ["C", "B", "A"]
    assert len(world.arrived) == 3


def test_a_critical_alert_does_not_wait_for_the_minute_that_others_used_up() -> None:
    world = Minutes()
    world.journal.sent = [NOW - 1] * (QUOTA.messages - QUOTA.reserved)
    world.alert("Small")
    assert isinstance(next_step(world.journal, QUOTA, NOW), Rest)
    world.alert("Large", "critical")
    step = next_step(world.journal, QUOTA, NOW)
    assert isinstance(step, Send)
    assert [group.alerts[0].name for group in step.groups] == ["Large", "Small"]


def test_in_a_bad_minute_no_group_waits_for_the_next_one() -> None:
    world = Minutes()
    came: dict[str, float] = {}
    for number in range(500):
        came[f"Alert{number}"] = world.now
        world.alert(f"Alert{number}", "critical" if number % 50 == 0 else "warning")
        world.run(NOW + (number + 1) * 60 / 500)
    world.run(NOW + 600)
    waits = {
        group.alerts[0].name: at - came[group.alerts[0].name]
        for at, message in world.arrived
        for group in message.groups
    }
    assert max(waits.values()) < 20
    assert max(wait for name, wait in waits.items() if int(name[5:]) % 50 == 0) < 15


def test_more_than_fits_goes_as_a_digest_with_what_is_critical_at_its_top() -> None:
    world = Minutes()
    for number in range(40):
        world.alert(f"Alert{number}", "critical" if number > 19 else "warning")
    world.run(NOW + 1)
    ((_, message),) = world.arrived[:1]
    assert len(message.groups) == 40
    assert {group.severity for group in message.groups[:20]} == {"critical"}


def test_nothing_is_sent_while_the_robot_is_left_alone() -> None:
    world = Minutes()
    world.alert("Large", "critical")
    world.journal.quiet_until = NOW + 600
    assert next_step(world.journal, QUOTA, NOW) == Rest(NOW + 600)


def test_what_the_robot_refused_is_reported_alone() -> None:
    world = Minutes()
    for number in range(40):
        world.alert(f"Alert{number}")
    next(iter(world.journal.waiting.values())).refusals = 1
    step = next_step(world.journal, QUOTA, NOW)
    assert isinstance(step, Send)
    assert [group.refusals for group in step.groups] == [1]
