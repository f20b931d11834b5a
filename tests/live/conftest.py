"""Sessions shared by the tests of a module; each test sets the outputs as it needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stage import Output, Sway, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

ODD = Output(203, 117, position=(0, 0))
"""A small output whose logical size is truncated at most scales."""


@pytest.fixture(scope="module")
def session() -> Iterator[Sway]:
    """Run a sway with one small output for as long as the module's tests last."""
    with Sway(ODD) as sway:
        yield sway


@pytest.fixture
def one_output(session: Sway) -> Sway:
    """HEADLESS-1 at scale 1, upright, at 0,0, showing the pattern."""
    session.set_output("HEADLESS-1", scale=1.0, transform="normal", position=(0, 0))
    session.set_background("HEADLESS-1", pattern(ODD.width, ODD.height))
    return session


@pytest.fixture
def even_output(one_output: Sway) -> Iterator[Sway]:
    """HEADLESS-1 with 200x120 pixels, which scales of 1.25 and 2 divide without a rest."""
    one_output.set_output("HEADLESS-1", width=200, height=120)
    yield one_output
    one_output.set_output("HEADLESS-1", width=ODD.width, height=ODD.height)
