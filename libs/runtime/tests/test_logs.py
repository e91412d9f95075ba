import json
from collections.abc import Callable
from typing import Any

from pydantic import Field, SecretStr

from streamdesk.runtime import ServiceSettings
from streamdesk.runtime.logs import secrets_of

Start = Callable[..., Any]
TALKS = """
@asynccontextmanager
async def build(settings, service):
    key = settings.api_key.get_secret_value()
    log.info("signal sent", symbol="AAPL.US", settings=settings)
    log.warning("refused", answer=f"key {key} is wrong", url=settings.redis_url.get_secret_value())
    logging.getLogger("some.library").warning("tried %s", key, extra={"attempt": 2})
    try:
        raise ValueError(f"bad key {key}")
    except ValueError:
        log.exception("failed")
    log.debug("too much")
    yield []
"""
ENVIRONMENT = {"API_KEY": 'open "sesame"', "REDIS_URL": "redis://:p%40wned-it@host:1/0"}


def test_every_line_is_one_json_object_also_what_a_library_logs(start: Start) -> None:
    lines, _ = start(TALKS, INSTANCE="tiny-1", **ENVIRONMENT).end()
    sent, _, library, failed = lines[:4]
    assert {name: sent[name] for name in ("level", "event", "service", "instance", "symbol")} == {
        "level": "info",
        "event": "signal sent",
        "service": "tiny",
        "instance": "tiny-1",
        "symbol": "AAPL.US",
    }
    assert sent["timestamp"].endswith("Z")
    assert (library["logger"], library["attempt"]) == ("some.library", 2)
    assert "Traceback" in failed["exception"]
    assert "too much" not in json.dumps(lines)


def test_a_secret_is_in_no_line_whoever_wrote_it(start: Start) -> None:
    service = start(TALKS, **ENVIRONMENT)
    out, err = service.text()
    assert "sesame" not in out + err
    assert "wned-it" not in out + err
    assert "redis://:***@host:1/0" in out


def test_the_console_format_is_for_a_person(start: Start) -> None:
    service = start(TALKS, LOG_FORMAT="console", LOG_LEVEL="debug", **ENVIRONMENT)
    out, _ = service.text()
    assert "signal sent" in out
    assert "symbol=AAPL.US" in out
    assert "too much" in out
    assert "ValueError: bad key ***" in out
    assert "sesame" not in out


class WithKey(ServiceSettings):
    key: SecretStr = Field(SecretStr(""), description="Key.")


def test_a_url_without_a_password_may_be_logged() -> None:
    assert secrets_of(WithKey()) == set()


def test_a_secret_too_short_to_be_told_from_a_word_is_left() -> None:
    assert secrets_of(WithKey(key=SecretStr("abc"))) == set()
    assert secrets_of(WithKey(key=SecretStr("abcd"))) == {"abcd"}


def test_the_password_for_the_sentinels_is_a_secret_too() -> None:
    url = "redis+sentinel://user:p%40ss@h1,h2/m/0?sentinel_username=me&sentinel_password=s%26me"
    assert secrets_of(WithKey(redis_url=SecretStr(url))) == {"p%40ss", "p@ss", "s%26me", "s&me"}
