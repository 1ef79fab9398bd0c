"""Engines, simulated and real, that tests of several files share."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from bot.domain.ports import Purpose, purpose
from tests.engines.case_restate import RestateStand, real, simulated, standing
from tests.engines.cases import SECRET, Opener
from tests.engines.harness_stand import FirstGenStand, NextGenStand, Socket, firstgen_stand, nextgen_stand
from tests.restate_lab.worlds import SimulatedWorld, Stage, open_stage, simulated_world

SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[Opener]]] = {"simulated": simulated, "real": real}


@pytest.fixture(scope="module")
async def socket() -> AsyncIterator[Socket]:
    """A port for the simulated Harness of a test."""
    async with Socket().served() as socket:
        yield socket


@pytest.fixture
async def firstgen(socket: Socket) -> AsyncIterator[FirstGenStand]:
    """A fresh FirstGen, and its engine."""
    async with firstgen_stand(socket) as stand:
        yield stand


@pytest.fixture
async def nextgen(socket: Socket) -> AsyncIterator[NextGenStand]:
    """A fresh NextGen, and its engine."""
    async with nextgen_stand(socket) as stand:
        yield stand
    purpose.set(Purpose.DESCRIBE)  # tests share a context


@pytest.fixture(scope="session", params=SERVERS)
async def restate_server(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """The simulator, and one real server for all tests."""
    async with SERVERS[request.param]() as served:
        yield served


@pytest.fixture
async def restate(restate_server: Opener) -> AsyncIterator[RestateStand]:
    """A fresh world on either server, and its engine."""
    async with restate_server() as opened:
        assert isinstance(opened, RestateStand)
        yield opened


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    """A port for the simulated Restate of a test."""
    async with open_stage() as opened:
        yield opened


@pytest.fixture
async def world(stage: Stage) -> AsyncIterator[SimulatedWorld]:
    """A Restate simulated for one test."""
    async with simulated_world(stage, token=SECRET) as simulated_one:
        yield simulated_one


@pytest.fixture
async def alone(world: SimulatedWorld) -> AsyncIterator[RestateStand]:
    """A stand on a simulator of its own, for what a real server cannot be brought to at will."""
    async with standing(world) as opened:
        yield opened
