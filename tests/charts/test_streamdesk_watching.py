"""What Helm prints about the chart `monitoring` after an install."""

import pytest

from tests.charts.monitoring_chart import STACK
from tests.charts.redis_sentinel_chart import run_helm
from tests.charts.streamdesk_chart import CHART, EXTERNAL, RELEASE


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "monitoring.grafana.enabled"),
        (STACK, f"service/{RELEASE}-grafana 3000"),
        (STACK, f"secret {RELEASE}-grafana"),
        (STACK | {"monitoring.grafana.existingSecret": "mine"}, "secret mine"),
    ],
)
def test_the_notes_say_where_the_desk_is_seen(values: dict[str, object], expected: str) -> None:
    pairs = (EXTERNAL | values).items()
    sets = [f"--set={name}={str(value).lower()}" for name, value in pairs]
    done = run_helm("install", RELEASE, str(CHART), "--dry-run=client", *sets)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout.partition("NOTES:")[2]


def test_the_notes_do_not_mention_what_is_disabled() -> None:
    words = ["--dry-run=client", "--set=monitoring.enabled=false"]
    done = run_helm("install", RELEASE, str(CHART), *words)
    assert "ashboard" not in done.stdout.partition("NOTES:")[2]
