"""What the relay does not start with, and says so."""

import pytest
from pydantic import ValidationError

from streamdesk.alert_relay.config import Settings
from streamdesk.alert_relay.factory import bus_of, robot_of, webhook_of
from streamdesk.bus import Bus
from streamdesk.runtime import BadSettingError

ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=example"


def configured(**values: object) -> Settings:
    return Settings.model_validate({"dingtalk_url": ROBOT} | values)


@pytest.mark.parametrize(
    "url",
    [
        ROBOT.replace("https", "http"),
        ROBOT.replace("oapi.dingtalk.com", "oapi.dingtalk.com.example.org"),
        ROBOT.replace("oapi.dingtalk.com", "oapi.dingtalk.com@example.org"),
    ],
)
async def test_a_robot_elsewhere_or_without_tls_is_refused_unless_allowed(url: str) -> None:
    with pytest.raises(BadSettingError, match="DINGTALK_ANY_HOST") as error:
        robot_of(configured(dingtalk_url=url))
    assert "access_token=example" not in str(error.value)
    await robot_of(configured(dingtalk_url=url, dingtalk_any_host=True)).close()
    await robot_of(configured()).close()


@pytest.mark.parametrize("url", ["oapi.dingtalk.com", "https://oapi.dingtalk.com/robot/send", "x"])
def test_an_address_without_a_token_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="access_token"):
        configured(dingtalk_url=url)


async def test_without_a_token_the_webhook_is_for_this_machine_alone() -> None:
    settings = configured(redis_url="memory://relay")
    async with Bus.connect(bus_of(settings)) as bus:
        with pytest.raises(BadSettingError, match="ALERT_RELAY_TOKEN"):
            webhook_of(settings, bus)
        webhook_of(configured(alert_relay_host="127.0.0.1"), bus)


@pytest.mark.parametrize(
    "values",
    [
        {"alert_relay_token": "short"},
        {"dingtalk_messages_per_minute": 20},
        {"dingtalk_max_bytes": 20_001},
    ],
)
def test_values_beyond_the_robots_limits_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        configured(**values)


def test_secrets_may_end_with_the_line_feed_of_their_file() -> None:
    settings = configured(dingtalk_url=f"{ROBOT}\n", dingtalk_secret="SECx\n")  # noqa: S106 - made up
    assert settings.dingtalk_url.get_secret_value() == ROBOT
    assert settings.dingtalk_secret is not None
    assert settings.dingtalk_secret.get_secret_value() == "SECx"
