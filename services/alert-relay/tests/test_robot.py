"""One request to the robot, and what its answer means."""

import time
from collections.abc import AsyncIterator, Callable

import pytest

from streamdesk.alert_relay.adapters.dingtalk import DingTalkRobot, read_reply, signature
from streamdesk.alert_relay.domain.alert_group import AlertGroup
from streamdesk.alert_relay.domain.message import MessageWriter, Style
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome
from tests.alert_relays import alert, notified
from tests.dingtalk_server import SECRET, DingTalkServer, cut, errcode, moved, silence, status
from tests.servers import LOOPBACK, free_port

MESSAGE = MessageWriter(Style()).message([AlertGroup.of(notified(alert()))], time.time())
RobotOf = Callable[..., DingTalkRobot]


@pytest.fixture
async def robot_of() -> AsyncIterator[RobotOf]:
    made: list[DingTalkRobot] = []

    def make(url: str, secret: str = SECRET, timeout_seconds: float = 30.0) -> DingTalkRobot:
        made.append(DingTalkRobot(url, secret, timeout_seconds, time.time))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def test_the_signature_is_the_documented_one() -> None:
    # By openssl: printf '1577262236757\nSECexample' | openssl dgst -sha256 -hmac SECexample -binary
    expected = "3O/+JkmT6LIkyEifgagk27DzxKJTl4agVk3rjPORAak="
    assert signature("SECexample", 1577262236757) == expected


async def test_a_signed_message_is_taken(robot: DingTalkServer, robot_of: RobotOf) -> None:
    # Many, because a signature that is encoded twice fails only where it has a + or a /.
    for _ in range(15):
        assert (await robot_of(robot.url).send(MESSAGE)).outcome is DeliveryOutcome.DELIVERED
    assert all("%25" not in taken.body["target"] for taken in robot.taken)
    assert robot.refused == []


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (130101, DeliveryOutcome.TOO_FAST),
        (310000, DeliveryOutcome.MISCONFIGURED),
        (300001, DeliveryOutcome.MISCONFIGURED),
        (-1, DeliveryOutcome.NOT_SENT),
        (460101, DeliveryOutcome.REFUSED),
    ],
)
async def test_the_errcode_decides_whatever_the_http_status_says(
    code: int, outcome: DeliveryOutcome, robot: DingTalkServer, robot_of: RobotOf
) -> None:
    robot.behaviours.append(errcode(code, "what is wrong"))
    answer = await robot_of(robot.url).send(MESSAGE)
    assert answer.outcome is outcome
    assert f"errcode {code}: what is wrong" in answer.reason


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (404, DeliveryOutcome.MISCONFIGURED),
        (429, DeliveryOutcome.TOO_FAST),
        (500, DeliveryOutcome.UNKNOWN),
        (503, DeliveryOutcome.NOT_SENT),
        (504, DeliveryOutcome.UNKNOWN),
    ],
)
async def test_without_an_errcode_the_http_status_decides(
    code: int, outcome: DeliveryOutcome, robot: DingTalkServer, robot_of: RobotOf
) -> None:
    robot.behaviours.append(status(code))
    assert (await robot_of(robot.url).send(MESSAGE)).outcome is outcome


async def test_no_redirect_is_followed(robot: DingTalkServer, robot_of: RobotOf) -> None:
    robot.behaviours.append(moved(robot.url))
    assert (await robot_of(robot.url).send(MESSAGE)).outcome is DeliveryOutcome.BLOCKED
    assert robot.requests == 1


async def test_a_wrong_secret_or_token_is_distinguished_from_an_outage(
    robot: DingTalkServer, robot_of: RobotOf
) -> None:
    answer = await robot_of(robot.url, "SECwrong").send(MESSAGE)
    assert answer.outcome is DeliveryOutcome.MISCONFIGURED
    assert "DINGTALK_SECRET" in answer.reason
    answer = await robot_of(robot.url.replace("example", "another")).send(MESSAGE)
    assert "token in DINGTALK_URL" in answer.reason


async def test_a_clock_that_is_wrong_is_refused_by_the_robot(robot: DingTalkServer) -> None:
    slow = DingTalkRobot(robot.url, SECRET, 30, lambda: time.time() - 7_200)
    answer = await slow.send(MESSAGE)
    await slow.close()
    assert answer.outcome is DeliveryOutcome.MISCONFIGURED
    assert "clock" in answer.reason


@pytest.mark.parametrize("behaviour", [silence(takes=True), cut(takes=True)])
async def test_a_lost_answer_is_an_unknown_outcome(
    behaviour: object, robot: DingTalkServer, robot_of: RobotOf
) -> None:
    robot.behaviours.append(behaviour)  # type: ignore[arg-type]
    answer = await robot_of(robot.url, timeout_seconds=2).send(MESSAGE)
    assert answer.outcome is DeliveryOutcome.UNKNOWN
    assert "token" not in answer.reason


async def test_what_cannot_be_connected_to_was_certainly_not_sent(robot_of: RobotOf) -> None:
    url = f"http://{LOOPBACK}:{free_port()}/robot/send?access_token=x"
    answer = await robot_of(url).send(MESSAGE)
    assert answer.outcome is DeliveryOutcome.NOT_SENT
    assert "access_token" not in answer.reason


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"errcode": "x"}', b"<html>", b"[" * 100_000, b'{"errcode":null}'],
)
def test_an_answer_that_says_nothing_is_an_unknown_outcome(body: bytes) -> None:
    assert read_reply(200, body).outcome is DeliveryOutcome.UNKNOWN
