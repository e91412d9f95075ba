"""values.yaml, its schema and its table say the same, and a mistyped value is refused."""

import re
import subprocess
import sys

import pytest

from streamdesk.contracts.topics import TOPICS
from tests.charts.redis_sentinel_chart import one, refusal, run_helm
from tests.charts.streamdesk_chart import CHART, EXTERNAL, RELEASE, ROOT, external


def test_schema_and_table_are_written_from_values() -> None:
    words = [sys.executable, "-m", "tools.chart_values", "--check"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("orderExecutors", {"enabled": False}),
        ("orderExecutor.replicas", 3),
        ("orderExecutor.settings.INITAL_CASH", 5),
        ("orderExecutor.settings.GRACE_SECONDS", 5),
        ("orderExecutor.settings.LEDGER_URL", "sqlite:///x"),
        ("websocketGateway.settings.GATEWAY_JWT_SECRET", "in a ConfigMap"),
        ("defaults.settings.NEWS_INTERVAL_SECONDS", 5),
        ("websocketGateway.service.type", "ExternalName"),
        ("newsFilter.image.digest", "latest"),
        ("networkPolicy.enable", True),
        ("image.pullPolicy", "Sometimes"),
        ("operator.auth", {"enabled": False}),
        ("analysis.settings.BAR_STORE_FOLDER", "/elsewhere"),
        ("analysis.settings.ANALYSIS_PORT", 80),
        ("analysis.barStore.persistence", True),
    ],
)
def test_a_value_that_does_nothing_or_harm_is_refused(name: str, value: object) -> None:
    assert name.rpartition(".")[2] in refusal(CHART, EXTERNAL | {name: value})


def test_settings_of_libraries_may_be_set_for_all() -> None:
    objects = external(defaults__settings={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://traces:4318"})
    data = one(objects, "ConfigMap", "desk-news-filter")["data"]
    assert data["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://traces:4318"


def test_a_release_name_that_does_not_fit_into_all_names_is_refused() -> None:
    done = run_helm("template", "d" * 41, str(CHART))
    assert done.returncode != 0
    assert "41 characters" in done.stderr


def test_the_pools_streams_are_the_classes_of_the_topic() -> None:
    (signals,) = (topic for topic in TOPICS if topic.name == "signals")
    spec = one(external(), "ExecutorPool", f"{RELEASE}-order-executor")["spec"]["redis"]
    classes = sorted(signals.classes, reverse=True)
    assert spec["streams"] == [f"{{{signals.key}}}:{number}" for number in classes]
    assert [spec["group"]] == list(signals.groups)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["port-forward", "websocket_gateway.entrypoints.cli mint", "get executorpool"]),
        ({"executorPool.enabled": False}, ["port-forward", "scale deployment"]),
        ({"websocketGateway.enabled": False}, ["logs -f", "get executorpool"]),
        ({"websocketGateway.service.type": "LoadBalancer"}, ["get service"]),
        (
            {"newsFetcher.source": "eodhd", "newsFetcher.eodhd.existingSecret": "my-eodhd"},
            ["secret my-eodhd", "news_quota_left_calls", "newsFilter.rules"],
        ),
    ],
)
def test_the_notes_describe_what_was_installed(
    values: dict[str, object], expected: list[str]
) -> None:
    sets = [f"--set={name}={str(value).lower()}" for name, value in (EXTERNAL | values).items()]
    words = ["install", RELEASE, str(CHART), "--dry-run=client", *sets]
    sets[:] = [text.replace("loadbalancer", "LoadBalancer") for text in sets]
    done = run_helm(*words[:4], *sets)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert [text for text in expected if text not in notes] == []
    assert re.findall(r"(?m)^(\d)\. ", notes) == ["1", "2", "3"]
