"""Fixtures of the tests against misbehaving others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fake.pipewire import BGRX, PipeWire, Producer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def pipewire() -> Iterator[PipeWire]:
    """A PipeWire of the tests' own, which is the environment's."""
    with PipeWire() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.env.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def producer(pipewire: PipeWire) -> Iterator[Producer]:
    """A producer that offers BGRx, 64x48."""
    with pipewire.producer() as running:
        running.offer(BGRX, 64, 48)
        yield running
