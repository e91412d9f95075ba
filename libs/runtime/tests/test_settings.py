from enum import StrEnum
from typing import Self
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr, ValidationError, model_validator

from streamdesk.runtime import BadSettingError, CommaSeparated, ServiceSettings
from streamdesk.runtime.settings_report import help_text, load, type_name


class Mode(StrEnum):
    FAST = "fast"
    SLOW = "slow"


class Desk(ServiceSettings):
    symbols: CommaSeparated = Field(("AAPL.US", "700.HK"), description="Instruments to watch.")
    ledger: SecretStr = Field(SecretStr("sqlite:///desk.db"), description="Ledger.")
    mirror: SecretStr = Field(SecretStr("pg://me:pw@host/db"), description="Mirror.")
    limits: dict[str, int] = Field(default_factory=dict, description="Positions by market.")


def test_without_any_variable_redis_is_on_this_machine() -> None:
    assert ServiceSettings().redis_url.get_secret_value() == "redis://localhost:6379/0"


def test_the_parts_of_the_redis_address_make_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "cache.example")
    monkeypatch.setenv("REDIS_PORT", "6380")
    monkeypatch.setenv("REDIS_DB", "2")
    assert ServiceSettings().redis_url.get_secret_value() == "redis://cache.example:6380/2"


def test_redis_url_wins_over_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "cache.example")
    monkeypatch.setenv("REDIS_URL", "rediss://other:6390/1")
    assert ServiceSettings().redis_url.get_secret_value() == "rediss://other:6390/1"


@given(st.text(min_size=1))
def test_any_password_survives_the_way_into_the_url(password: str) -> None:
    settings = ServiceSettings(redis_password=SecretStr(password), redis_host="::1")
    parts = urlsplit(settings.redis_url.get_secret_value())
    assert unquote(parts.password or "") == password
    assert parts.hostname == "::1"


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://[::1]:6380/2",
        "rediss://user:p%40ss@cache.example:6380/1",
        "unix:///run/redis.sock",
        "memory://mine",
        "redis+sentinel://h1:26379,h2:26379/mymaster/0",
        "redis+sentinel://user:pw@h1,[::1]:26379,h3/mymaster",
        "rediss+sentinel://h1/mymaster/0?sentinel_password=other",
    ],
)
def test_every_way_to_name_a_server_is_taken(url: str) -> None:
    settings = ServiceSettings(redis_url=SecretStr(url))
    assert settings.redis_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sesame", ""),
        ("http://:sesame@host", ""),
        ("memory:", ""),
        ("redis://:sesame@[::1/0", ""),
        ("redis://:sesame@host:port/0", "; host 1 of 1 is not host or host:port"),
        ("redis://:sesame@host/first", "; the database is not a number"),
        ("redis://h1:26379,h2:26379/0", "; several hosts are Sentinels: write redis+sentinel://"),
        ("redis+sentinel://h1:26379,h2:26379", "; the master's name after the hosts is missing"),
        ("redis+sentinel://h1/", "; the master's name after the hosts is missing"),
        ("redis+sentinel://h1,,h3/m/0", "; host 2 of 3 is not host or host:port"),
        ("redis+sentinel://h1,h2:70000/m/0", "; host 2 of 2 is not host or host:port"),
        ("redis+sentinel://u:sesame@h1,h2/m/zero", "; the database is not a number"),
    ],
)
def test_a_redis_url_that_cannot_work_is_explained_without_being_shown(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(BadSettingError) as caught:
        load(ServiceSettings)
    said = str(caught.value)
    assert said.startswith("REDIS_URL=(hidden): expected redis://host:port/db, rediss://…, ")
    assert said.endswith(f"redis+sentinel://user:password@host:26379,host:26379/master/db{why}")
    assert "sesame" not in said


def test_a_variable_that_is_set_but_empty_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("METRICS_PORT", "")
    assert ServiceSettings().metrics_port == 9464
    assert ServiceSettings().redis_url.get_secret_value() == "redis://localhost:6379/0"


def test_words_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBOLS", "MSFT.US, 9988.HK,")
    assert Desk().symbols == ("MSFT.US", "9988.HK")


def test_a_value_that_should_be_json_and_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMITS", "US=5")
    with pytest.raises(BadSettingError, match=r"^LIMITS=US=5: expected a value in JSON$"):
        load(Desk)


def test_settings_do_not_change_while_the_process_runs() -> None:
    settings = ServiceSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.log_level = "debug"  # type: ignore[misc]  # refused: the test


def test_the_bus_finishes_before_the_process_must_end() -> None:
    settings = ServiceSettings(grace_seconds=10, instance="executor-1")
    assert settings.bus_config("order-executor", max) == {
        "url": "redis://localhost:6379/0",
        "service": "order-executor",
        "instance": "executor-1",
        "lease_seconds": 30,
        "max_deliveries": 10,
        "drain_seconds": 6,
        "durable": None,
    }


def test_a_publish_waits_for_replicas_only_where_it_is_told_to() -> None:
    def wait(replicas: int, timeout_ms: int) -> str:
        return f"{replicas} within {timeout_ms} ms"

    assert ServiceSettings().bus_config("x", wait)["durable"] is None
    settings = ServiceSettings(bus_wait_replicas=2, bus_wait_timeout_ms=250)
    assert settings.bus_config("x", wait)["durable"] == "2 within 250 ms"


def test_help_shows_a_list_as_it_is_written_in_the_variable() -> None:
    text = help_text("signal-generator", Desk)
    assert text.startswith("signal-generator: python -m streamdesk.signal_generator\n")
    assert "[AAPL.US,700.HK]" in text


def test_help_shows_the_default_of_a_secret_only_where_there_is_no_password_in_it() -> None:
    text = help_text("signal-generator", Desk)
    assert "[sqlite:///desk.db]" in text
    assert "pw" not in text


def test_a_rule_over_several_settings_explains_itself() -> None:
    class Thresholds(ServiceSettings):
        low: int = 70
        high: int = 60

        @model_validator(mode="after")
        def _in_order(self) -> Self:
            raise ValueError(f"LOW={self.low}: expected less than HIGH={self.high}")

    with pytest.raises(BadSettingError, match=r"^LOW=70: expected less than HIGH=60$"):
        load(Thresholds)


def test_a_setting_without_a_default_must_be_set() -> None:
    class Strict(ServiceSettings):
        account: str = Field(description="Name of the account.")

    with pytest.raises(BadSettingError, match=r"^ACCOUNT is not set: expected Name of the account"):
        load(Strict)
    assert "[required]" in help_text("strict", Strict)


def test_types_are_named_in_words() -> None:
    assert type_name(SecretStr | None) == "secret"
    assert type_name(bool) == "true|false"
    assert type_name(int | str) == "integer or text"
    assert type_name(dict[str, int]) == "JSON"
    assert type_name(Mode) == "fast|slow"
