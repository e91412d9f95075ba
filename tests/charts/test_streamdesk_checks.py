"""Linters on the rendered chart, and its golden files."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.charts.monitoring_chart import WATCHED
from tests.charts.redis_sentinel_chart import Object, run_helm
from tests.charts.streamdesk_chart import CHART, EXTERNAL, RELEASE, ROOT, SECTIONS, desk, external
from tools.kube_schemas import strict

HERE = Path(__file__).parent
CRD = ROOT / "k8s" / "crds" / "executorpools.streamdesk.io.yaml"
SECRET_MADE_AT_RANDOM = re.compile(r"(?m)^(  \"?secret\"?: ).*$")
RELAY = {"alertRelay.enabled": True, "alertRelay.existingSecret": "dingtalk"}
OTHER = {
    "executorPool.drainSeconds": 30,
    "redis.tls": {"enabled": True, "existingSecret": "redis-tls"},
    "websocketGateway.service": {"type": "NodePort", "nodePort": 30080},
    "websocketGateway.auth.enabled": False,
    "defaults.labels": {"team": "desk"},
    "defaults.annotations": {"example.com/owner": "desk"},
    **RELAY,
    "analysis.barStore": {"persistent": True, "storageClassName": "fast"},
    "newsFetcher.source": "eodhd",
    "newsFetcher.eodhd": {"apiKey": "not-a-key"},
    "newsFilter.rules": {"tickers": ["AAPL.US"], "sentiment": {"threshold": 0.6}},
    "newsFilter.finbert": {"enabled": True, "existingClaim": "models"},
    "orderExecutor.networkPolicy.extraEgress": [{"ports": [{"port": 4318}]}],
}
VARIANTS = {"defaults": {}, "external": EXTERNAL, "other": OTHER, "watched": WATCHED}


def program(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"no {name} on the PATH")


def rendered(values: dict[str, object]) -> list[Object]:
    return desk(**{name.replace(".", "__"): value for name, value in values.items()})


@pytest.mark.parametrize("chart", [CHART, *sorted((CHART / "charts").iterdir())])
@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_helm_lint_finds_nothing(helm: str, chart: Path) -> None:
    words = [program(helm), "lint", "--strict", str(chart)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", [{}, EXTERNAL, RELAY], ids=["defaults", "external", "relay"])
def test_kube_score_finds_nothing(values: dict[str, object]) -> None:
    objects = yaml.safe_dump_all(rendered(values))
    words = [program("kube-score"), "score", "--output-format", "ci", "--exit-one-on-warning", "-"]
    done = subprocess.run(words, input=objects, capture_output=True, text=True, check=False)
    blamed = [line for line in done.stdout.splitlines() if line.startswith(("[CRIT", "[WARN"))]
    assert (blamed, done.returncode) == ([], 0), done.stderr


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_every_object_has_only_fields_that_the_api_knows(
    tmp_path: Path, values: dict[str, object]
) -> None:
    assert_known(tmp_path, yaml.safe_dump_all(rendered(values)))


def test_the_sample_of_a_claim_for_a_model_has_only_fields_that_the_api_knows(
    tmp_path: Path,
) -> None:
    assert_known(tmp_path, (ROOT / "k8s" / "samples" / "finbert-model.yaml").read_text())


def assert_known(tmp_path: Path, objects: str) -> None:
    """Compare objects with the schemas of the API."""
    checker = program("kubeconform")
    (version,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    schema = strict(version["schema"]["openAPIV3Schema"])
    (tmp_path / "executorpool-streamdesk-v1alpha1.json").write_text(json.dumps(schema))
    words = [checker, "-strict"]
    for folder in (HERE / "schemas", tmp_path):
        words += ["-schema-location", f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"]
    done = subprocess.run(words, input=objects, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", sorted({*SECTIONS} - {"signal-generator"}))
def test_a_service_looks_as_it_did(name: str) -> None:
    """`make charts ARGS=--write` writes the file again: read the difference before you commit."""
    label = "app.kubernetes.io/component"
    found = [
        item
        for item in external(image__tag="1.2.3")
        if item["metadata"]["labels"][label] == name and item["kind"] != "Pod"
    ]
    text = SECRET_MADE_AT_RANDOM.sub(r"\1made-at-random", yaml.safe_dump_all(found))
    golden = HERE / "goldens" / f"{name}.yaml"
    if os.environ.get("GOLDENS") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_helm_3_and_helm_4_render_the_same() -> None:
    def shown(helm: str) -> str:
        words = [program(helm), "template", RELEASE, str(CHART), "--kube-version", "1.34"]
        for key, value in EXTERNAL.items():
            words += ["--set-json", f"{key}={json.dumps(value)}"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        objects = [item for item in yaml.safe_load_all(done.stdout) if item]
        text = yaml.safe_dump_all(sorted(objects, key=lambda x: (x["kind"], x["metadata"]["name"])))
        return SECRET_MADE_AT_RANDOM.sub("", text)

    assert shown("helm") == shown("helm3")


def test_the_definition_of_a_pool_comes_with_the_chart() -> None:
    done = run_helm("show", "crds", str(CHART))
    assert yaml.safe_load(done.stdout) == yaml.safe_load(CRD.read_text())
