import socket
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]
IDLE = """
@asynccontextmanager
async def build(settings, service):
    yield [ServiceTask("idle", wait)]
"""


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("METRICS_PORT", "x", "a valid integer (Port of /metrics, /livez and /readyz; 0 for any)"),
        ("SCORE_MIN", "101", "less than or equal to 100 (Least score, 0 to 100)"),
        ("SCORE_MIN", "nan", "a finite number (Least score, 0 to 100)"),
        ("REDIS_DB", "-1", "greater than or equal to 0 (Number of the Redis database)"),
    ],
)
def test_a_bad_value_ends_the_process_with_one_line_that_explains_it(
    start: Start, variable: str, value: str, expected: str
) -> None:
    service = start(IDLE, **{variable: value})
    assert service.end() == ([], f"tiny: {variable}={value}: expected {expected}\n")
    assert service.process.returncode == 2


def test_a_bad_secret_is_named_but_not_shown(start: Start) -> None:
    service = start(IDLE, REDIS_URL="http://user:opensesame@host")
    _, err = service.end()
    assert err == (
        "tiny: REDIS_URL=(hidden): expected redis://host:port/db, rediss://…, unix:///path, "
        "memory://name or redis+sentinel://user:password@host:26379,host:26379/master/db\n"
    )


def test_several_bad_values_still_make_one_line(start: Start) -> None:
    _, err = start(IDLE, SCORE_MIN="high", METRICS_PORT="-1").end()
    assert err.count("\n") == 1
    assert "SCORE_MIN=high" in err
    assert "METRICS_PORT=-1" in err


def test_a_taken_port_is_a_bad_setting(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = start(IDLE, METRICS_PORT=str(port))
        lines, err = service.end()
    assert (lines, service.process.returncode) == ([], 2)
    assert err == (
        f"tiny: METRICS_PORT={port}: expected a port that can be listened on at 127.0.0.1 "
        "(Address already in use); 0 takes any free\n"
    )


def test_a_factory_can_refuse_a_setting(start: Start) -> None:
    service = start("""
        @asynccontextmanager
        async def build(settings, service):
            raise BadSettingError("WATCHLIST", "desk.yaml", "a file that exists")
            yield []
    """)
    lines, err = service.end()
    assert (lines, service.process.returncode) == ([], 2)
    assert err == "tiny: WATCHLIST=desk.yaml: expected a file that exists\n"


def test_an_unknown_argument_is_refused(start: Start) -> None:
    service = start(IDLE, "--verbose")
    assert service.end() == ([], "tiny: unknown argument '--verbose': expected none, or --help\n")
    assert service.process.returncode == 2


def test_help_lists_every_setting_with_type_default_and_meaning(start: Start) -> None:
    service = start(IDLE, "--help")
    out, _ = service.text()
    lines = out.splitlines()
    own = next(i for i, line in enumerate(lines) if line.split()[:1] == ["SCORE_MIN"])
    assert lines[own].split() == ["SCORE_MIN", "number", "[30]"]
    assert lines[own + 1].strip() == "Least score, 0 to 100. More text."
    assert any(
        line.split() == ["LOG_LEVEL", "debug|info|warning|error", "[info]"] for line in lines
    )
    assert any(line.split() == ["REDIS_PASSWORD", "secret", "[not", "set]"] for line in lines)
    assert own < next(i for i, line in enumerate(lines) if "REDIS_HOST" in line)
    assert service.process.returncode == 0
