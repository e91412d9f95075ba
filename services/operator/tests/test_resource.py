"""The resource's definition and the code that reads and writes it say the same."""

import types
import typing
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from streamdesk.operator.adapters.kubernetes.status import status_of
from streamdesk.operator.domain.decision import ScalingDecision, ScalingReason
from streamdesk.operator.domain.history import LagHistory, Override
from streamdesk.operator.domain.observation import LagSource, Observation
from streamdesk.operator.domain.pool import PoolSpec
from tests.pools import ROOT

FILE = ROOT / "k8s/crds/executorpools.streamdesk.io.yaml"
VERSION = yaml.safe_load(FILE.read_text())["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]["properties"]


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `Model`, `Model | None` or `tuple[Model, ...]`."""
    if get_origin(annotation) in (types.UnionType, typing.Union, tuple):
        found = [model_in(part) for part in get_args(annotation)]
        return next((model for model in found if model is not None), None)
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None


def differences(model: type[BaseModel], schema: Any, where: str) -> list[str]:
    """Fields that only one of them has, or with different defaults."""
    properties = schema.get("items", schema).get("properties", {})
    fields = {str(field.alias): field for field in model.model_fields.values()}
    found = [f"{where}.{name}" for name in set(fields) ^ set(properties)]
    for name in set(fields) & set(properties):
        field, part = fields[name], properties[name]
        default = None if field.default is PydanticUndefined else field.default
        if "default" in part and part["default"] != default:
            found.append(f"{where}.{name}: {part['default']} is not {default}")
        inner = model_in(field.annotation)
        if inner is not None:
            found += differences(inner, part, f"{where}.{name}")
    return found


def test_the_spec_has_the_fields_and_defaults_of_the_definition() -> None:
    assert differences(PoolSpec, SCHEMA["spec"], "spec") == []


def test_every_field_of_the_status_is_defined() -> None:
    seen = Observation(
        at_seconds=1.0, replicas=2, ready_replicas=1, unread=3, pending=4, oldest_pending_seconds=5
    )
    decision = ScalingDecision(
        desired=2, raw_desired=2, reason=ScalingReason.AS_NEEDED, message="", conditions=(),
        rate_per_replica=1.0, arrivals_per_second=1.0,
    )  # fmt: skip
    history = LagHistory(
        last_active_seconds=1.0,
        last_scale_seconds=1.0,
        override=Override(by="external", replicas=2, until_seconds=9.0),
    )
    pool = {"metadata": {"generation": 1}, "spec": {}}
    status = status_of(pool, "app=x", seen, decision, history, [])
    defined = SCHEMA["status"]["properties"]
    assert set(status) == set(defined)
    assert set(status["override"]) == set(defined["override"]["properties"])
    assert set(defined["lagSource"]["enum"]) == {
        *(source.value for source in LagSource),
        "LowerBound",
    }


def test_scaling_the_resource_pins_it() -> None:
    assert VERSION["subresources"]["scale"] == {
        "specReplicasPath": ".spec.manualReplicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
