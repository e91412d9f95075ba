"""Each fault once, small, under traffic; the long round is `make chaos`."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from conftest import server_program
from tests.chaos.arena import SHORT, Arena, open_arena
from tests.chaos.faults import FAULTS, Fault, strike

pytestmark = pytest.mark.asyncio(loop_scope="module")
BINARIES = {"valkey": None, "redis": "redis-server"}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=BINARIES)
async def arena(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Arena]:
    folder = tmp_path_factory.mktemp("arena")
    binary = server_program(folder, BINARIES[request.param])
    chance = random.Random(request.param)
    async with open_arena(binary, folder, pace=SHORT, consumers=2, chance=chance) as arena:
        yield arena


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_acknowledged_events_are_handled_despite_any_fault(
    arena: Arena, fault: Fault
) -> None:
    desk = arena.new_desk()
    async with desk.publishing():
        await desk.traffic()
        await strike(arena, fault)
        await desk.traffic()
    verdict = await desk.verdict()
    assert verdict.is_good, str(verdict)
