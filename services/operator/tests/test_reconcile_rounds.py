"""The rounds: which operator acts, and when its process ends."""

from collections.abc import AsyncIterator
from typing import Any

import kmock
import kopf
import pytest

from streamdesk.operator.adapters.kubernetes.api import KubernetesApi
from streamdesk.operator.adapters.kubernetes.pools import PoolKey, PoolResources
from streamdesk.operator.application.reconcile_rounds import COMPARE_SECONDS, ReconcileRounds
from streamdesk.operator.entrypoints import schedule
from streamdesk.operator.errors import KubernetesError, StalledError
from streamdesk.runtime import Drain

POOLS = "/apis/streamdesk.io/v1alpha1/namespaces/desk/executorpools"
LIVENESS_SECONDS = 300.0

pytestmark = pytest.mark.kmock(cls=kmock.RawHandler)


def pool(name: str, generation: int = 1, poll_seconds: float = 10) -> dict[str, Any]:
    meta = {"name": name, "namespace": "desk", "uid": f"uid-{name}", "generation": generation}
    return {"metadata": meta, "spec": {"pollSeconds": poll_seconds}}


class World:
    """What a round uses; a test can make each part fail."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seconds_a_round = 1.0
        self.rounds_left = 1
        self.shown = {("desk", "a"): pool("a")}
        self.may_act = True
        self.lease_error: Exception | None = None
        self.look_errors: dict[str, Exception] = {}
        self.looks: list[str] = []
        self.forgot = 0

    def clock(self) -> float:
        return self.now

    async def pools(self) -> dict[PoolKey, Any]:
        return self.shown

    @property
    def held(self) -> bool:
        return self.may_act

    async def keep(self) -> bool:
        if self.lease_error:
            raise self.lease_error
        return self.may_act

    async def release(self) -> None: ...

    def forget(self) -> None:
        self.forgot += 1

    def forget_pool(self, uid: str) -> None: ...

    async def reconcile(self, pool: Any) -> None:
        name = pool["metadata"]["name"]
        self.looks.append(name)
        if name in self.look_errors:
            raise self.look_errors[name]

    async def sleep(self, _seconds: float) -> bool:
        """Between two rounds."""
        self.now += self.seconds_a_round
        self.rounds_left -= 1
        return self.rounds_left <= 0


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def rounds(kmock: kmock.RawHandler, world: World) -> AsyncIterator[ReconcileRounds]:
    access = kopf.ConnectionInfo(server=str(kmock.url).rstrip("/"))
    kmock[f"get {POOLS}"] << {"items": [pool("a")]}
    async with KubernetesApi(lambda: access) as api:
        fake: Any = world
        yield ReconcileRounds(
            PoolResources(api),
            "desk",
            fake,
            fake,
            fake,
            tick_seconds=1,
            liveness_seconds=LIVENESS_SECONDS,
            clock=world.clock,
        )


async def run(
    rounds: ReconcileRounds, world: World, number: int, seconds_a_round: float = 1
) -> None:
    world.rounds_left, world.seconds_a_round = number, seconds_a_round
    drain: Any = world
    await schedule.reconcile(rounds, 1, drain)


async def test_a_pool_is_reconciled_as_often_as_it_asks_for(
    rounds: ReconcileRounds, world: World
) -> None:
    await run(rounds, world, 21)
    assert world.looks == ["a"] * 3


async def test_a_changed_pool_is_reconciled_at_once(rounds: ReconcileRounds, world: World) -> None:
    await run(rounds, world, 2)
    world.shown = {("desk", "a"): pool("a", generation=2)}
    await run(rounds, world, 1)
    assert world.looks == ["a"] * 2


async def test_without_the_lease_nothing_is_reconciled_and_nothing_remembered(
    rounds: ReconcileRounds, world: World
) -> None:
    world.may_act = False
    await run(rounds, world, 3)
    assert not world.looks
    assert world.forgot == 3


async def test_a_pool_that_fails_is_tried_again_and_disturbs_no_other(
    rounds: ReconcileRounds, world: World
) -> None:
    world.shown[("desk", "b")] = pool("b")
    world.look_errors = {"a": KubernetesError("GET /", 500, "no")}
    await run(rounds, world, 3)
    assert (world.looks.count("a"), world.looks.count("b")) == (3, 1)
    world.look_errors = {"a": RuntimeError("unexpected")}
    await run(rounds, world, 1)


async def test_a_process_in_which_no_round_succeeds_ends_to_be_restarted(
    rounds: ReconcileRounds, world: World
) -> None:
    world.lease_error = KubernetesError("GET /", 0, "no answer")
    with pytest.raises(StalledError, match="no round has succeeded"):
        await run(rounds, world, 1_000)
    assert world.now > LIVENESS_SECONDS


async def test_a_watch_that_died_silently_ends_the_process(
    rounds: ReconcileRounds, world: World
) -> None:
    world.shown = {}
    with pytest.raises(StalledError, match="the watch"):
        await run(rounds, world, 1_000, seconds_a_round=COMPARE_SECONDS)


async def test_a_watch_that_shows_what_is_there_keeps_it_alive(
    rounds: ReconcileRounds, world: World
) -> None:
    await run(rounds, world, 50, seconds_a_round=COMPARE_SECONDS)


async def test_a_drain_ends_the_rounds(rounds: ReconcileRounds) -> None:
    drain = Drain()
    drain.request()
    await schedule.reconcile(rounds, 1, drain)
