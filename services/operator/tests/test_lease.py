"""The operator that holds the lease acts, and no other, whatever the API server answers."""

from collections.abc import AsyncIterator
from typing import Any

import kmock
import kopf
import pytest

from streamdesk.operator.adapters.kubernetes.api import KubernetesApi
from streamdesk.operator.adapters.kubernetes.lease import LeaderLease
from streamdesk.operator.errors import KubernetesError

FOLDER = "/apis/coordination.k8s.io/v1/namespaces/desk/leases"
PATH = f"{FOLDER}/operator"
LEASE_SECONDS = 15.0

pytestmark = pytest.mark.kmock(cls=kmock.RawHandler)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def lease(kmock: kmock.RawHandler, clock: Clock) -> AsyncIterator[LeaderLease]:
    access = kopf.ConnectionInfo(server=str(kmock.url).rstrip("/"))
    async with KubernetesApi(lambda: access) as api:
        yield LeaderLease(api, "desk", "operator", "ours", LEASE_SECONDS, clock, wall=lambda: 0.0)


def found(holder: str | None, version: str = "1") -> dict[str, Any]:
    return {
        "metadata": {"name": "operator", "resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 2},
    }


def not_found(kmock: kmock.RawHandler) -> None:
    kmock[f"get {PATH}"] << 404 << {"message": "not found"}


def bodies(kmock: kmock.RawHandler, method: str) -> list[Any]:
    return [request.data for request in kmock if request.method.value.lower() == method]


async def test_a_lease_that_is_not_there_is_made_and_held(
    kmock: kmock.RawHandler, lease: LeaderLease
) -> None:
    not_found(kmock)
    kmock[f"post {FOLDER}"] << {}
    assert not lease.held
    assert await lease.keep()
    (body,) = bodies(kmock, "post")
    assert body["spec"]["holderIdentity"] == "ours"


async def test_a_lease_that_another_operator_makes_first_is_not_held(
    kmock: kmock.RawHandler, lease: LeaderLease
) -> None:
    not_found(kmock)
    kmock[f"post {FOLDER}"] << 409 << {"message": "already exists"}
    assert not await lease.keep()


async def test_a_lease_that_its_holder_renews_is_left_alone(
    kmock: kmock.RawHandler, lease: LeaderLease, clock: Clock
) -> None:
    kmock[f"get {PATH}"] << found("theirs", "1")
    assert not await lease.keep()
    clock.now += LEASE_SECONDS - 1
    assert not await lease.keep()
    assert not bodies(kmock, "put")


async def test_a_lease_that_stood_still_for_as_long_as_it_lasts_is_taken(
    kmock: kmock.RawHandler, lease: LeaderLease, clock: Clock
) -> None:
    kmock[f"get {PATH}"] << found("theirs", "1")
    kmock[f"put {PATH}"] << {}
    await lease.keep()
    clock.now += LEASE_SECONDS + 1
    assert await lease.keep()
    (body,) = bodies(kmock, "put")
    assert body["metadata"]["resourceVersion"] == "1"
    assert body["spec"]["holderIdentity"] == "ours"
    assert body["spec"]["leaseTransitions"] == 3


async def test_a_lease_that_was_given_back_is_taken_at_once(
    kmock: kmock.RawHandler, lease: LeaderLease
) -> None:
    kmock[f"get {PATH}"] << found(None)
    kmock[f"put {PATH}"] << {}
    assert await lease.keep()


async def test_without_an_answer_a_lease_ends_before_another_may_take_it(
    kmock: kmock.RawHandler, lease: LeaderLease, clock: Clock
) -> None:
    kmock[f"get {PATH}"] << found("ours")
    kmock[f"put {PATH}"][:1] << {}
    kmock[f"put {PATH}"][1:] << 500 << {"message": "no"}
    assert await lease.keep()
    clock.now += LEASE_SECONDS / 2
    with pytest.raises(KubernetesError):
        await lease.keep()
    assert lease.held
    clock.now += LEASE_SECONDS / 4
    assert not lease.held


async def test_a_lease_that_another_took_meanwhile_is_lost_at_once(
    kmock: kmock.RawHandler, lease: LeaderLease, clock: Clock
) -> None:
    kmock[f"get {PATH}"] << found("ours")
    kmock[f"put {PATH}"][:1] << {}
    kmock[f"put {PATH}"][1:] << 409 << {"message": "changed"}
    assert await lease.keep()
    clock.now += LEASE_SECONDS / 2
    assert not await lease.keep()


async def test_a_lease_is_not_renewed_more_often_than_needed(
    kmock: kmock.RawHandler, lease: LeaderLease, clock: Clock
) -> None:
    kmock[f"get {PATH}"] << found("ours")
    kmock[f"put {PATH}"] << {}
    for _ in range(4):
        assert await lease.keep()
        clock.now += 1
    assert len(bodies(kmock, "put")) == 1
