"""The port for a robot that delivers messages to people. `dingtalk` is an implementation."""

from typing import Protocol

from streamdesk.alert_relay.domain.message import AlertMessage
from streamdesk.alert_relay.domain.robot_reply import RobotReply


class Robot(Protocol):
    """Delivers messages to people."""

    async def send(self, message: AlertMessage) -> RobotReply:
        """Send once, and return the outcome. Network errors are outcomes, not exceptions."""
