"""Simulated engines that tests of several files share."""

from collections.abc import AsyncIterator

import pytest

from bot.domain.ports import Purpose, purpose
from tests.engines.harness_stand import FirstGenStand, NextGenStand, Socket, firstgen_stand, nextgen_stand


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
