"""The whole API by its own description: everything that it allows, and much that it does not."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.analysis_replicas import LOOPBACK, PREFIX, Replica

EXAMPLES = 40
ROUTES = 12


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("bars")
    replica = Replica(
        REDIS_ENABLED="false", HAMA_SCHEDULER_ENABLED="true", BAR_STORE_FOLDER=str(folder)
    )
    yield replica
    replica.stop()


@pytest.fixture(scope="module")
def api(replica: Replica) -> OpenApiSchema:
    return schemathesis.openapi.from_url(f"http://{LOOPBACK}:{replica.port}{PREFIX}/openapi.json")


def ask_everything(
    operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode
) -> Counter[int]:
    statuses: Counter[int] = Counter()

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,  # what CI sees today it sees tomorrow
        suppress_health_check=list(hypothesis.HealthCheck),
        database=None,
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        statuses[case.call_and_validate(timeout=60).status_code] += 1

    with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing of it can be wrong
        ask()
    return statuses


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_gets_an_answer_that_the_description_does_not_promise(
    api: OpenApiSchema, mode: GenerationMode
) -> None:
    asked: dict[str, Counter[int]] = {}
    for found in api.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        name = f"{operation.method} {operation.path.removeprefix(PREFIX)}"
        asked[name] = ask_everything(operation, mode)
    assert len(asked) == ROUTES
    statuses = asked["post /analyze-symbol"]
    expected = {404} if mode is GenerationMode.POSITIVE else {422}
    assert expected <= set(statuses), asked


def test_after_all_that_the_service_is_well_and_has_logged_no_error(replica: Replica) -> None:
    assert replica.post("analyze-symbol", symbol="BTCUSDT").status_code == 200
    assert [entry for entry in replica.log if entry.get("level") == "error"] == []
