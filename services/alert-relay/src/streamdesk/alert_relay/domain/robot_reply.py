"""What an answer of the robot means. Its HTTP status says little; `errcode` in the body decides.

Codes as DingTalk's users report them: 0 taken; 130101 more than twenty in a minute; 310000 the
keyword, the signature or the clock; 300001 and 400 and something about the token: not our robot;
-1 busy. A robot that was asked too often is cut off for ten minutes, and then answers 302.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

_OK = 200
_REDIRECTS = range(300, 400)
_TOO_MANY_REQUESTS = 429
_UNAVAILABLE = 503
_CLIENT_ERRORS = range(400, 500)

TAKEN = 0
BUSY = -1
TOO_FAST = 130101
BAD_TOKENS = frozenset({300001, 300005, 400101, 400102, 400013, 40014})
NOT_ALLOWED = 310000

LONGEST_REASON = 300


class DeliveryOutcome(StrEnum):
    """What became of a message."""

    DELIVERED = "told"
    TOO_FAST = "too-fast"
    BLOCKED = "blocked"
    MISCONFIGURED = "misconfigured"
    REFUSED = "refused"
    NOT_SENT = "not-sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RobotReply:
    """An outcome, and why, for a person."""

    outcome: DeliveryOutcome
    reason: str = ""


def read_reply(status: int, body: bytes) -> RobotReply:
    """What an HTTP answer means.

    Args:
        status: of HTTP.
        body: the answer's.
    """
    if status in _REDIRECTS:
        return RobotReply(DeliveryOutcome.BLOCKED, f"HTTP {status}: the robot was asked too often")
    if status == _TOO_MANY_REQUESTS:
        return RobotReply(DeliveryOutcome.TOO_FAST, f"HTTP {status}")
    if status == _UNAVAILABLE:
        return RobotReply(DeliveryOutcome.NOT_SENT, f"HTTP {status}")
    if status in _CLIENT_ERRORS:
        return RobotReply(
            DeliveryOutcome.MISCONFIGURED, f"HTTP {status}: is DINGTALK_URL the robot's address?"
        )
    code, words = _code_in(body) if status == _OK else (None, "")
    if code is None:
        return RobotReply(DeliveryOutcome.UNKNOWN, f"HTTP {status} without an errcode")
    return _of_code(code, f"errcode {code}: {words}"[:LONGEST_REASON])


def _of_code(code: int, reason: str) -> RobotReply:
    if code == TAKEN:
        return RobotReply(DeliveryOutcome.DELIVERED)
    if code == TOO_FAST:
        return RobotReply(DeliveryOutcome.TOO_FAST, reason)
    if code == BUSY:
        return RobotReply(DeliveryOutcome.NOT_SENT, reason)
    if code == NOT_ALLOWED:
        hint = (
            "; look at DINGTALK_SECRET, DINGTALK_KEYWORD, the robot's list of addresses, the clock"
        )
        return RobotReply(DeliveryOutcome.MISCONFIGURED, reason + hint)
    if code in BAD_TOKENS:
        return RobotReply(
            DeliveryOutcome.MISCONFIGURED, f"{reason}; look at the token in DINGTALK_URL"
        )
    return RobotReply(DeliveryOutcome.REFUSED, reason)


def _code_in(body: bytes) -> tuple[int | None, str]:
    try:
        value = json.loads(body)
        return int(value["errcode"]), str(value.get("errmsg", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, ""
