"""Sessions shared by the tests of a module; each test sets the outputs as it needs them.

The compositor is this machine's sway. What is marked ``on_both_sways`` or ``on_newer_sway``, a
test, a class or a module, runs on the one of scripts/newer-sway as well, or on that only;
``on_labwc`` and ``on_every_compositor`` have that script's labwc. It fails where there is none,
unless WAYSHOT_TEST_WITHOUT_NEWER_SWAY=1 deselects it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.stage import Build, Output, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stage import Stage

ODD = Output(203, 117, position=(0, 0))
"""A small output whose logical size is truncated at most scales."""


def _on(*builds: Build) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "build", builds, ids=lambda build: build.value, indirect=True, scope="module"
    )


on_both_sways = _on(Build.HOST, Build.NEWER)
on_newer_sway = _on(Build.NEWER)
on_labwc = _on(Build.LABWC)
on_every_compositor = _on(*Build)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests on what scripts/newer-sway makes if that is known to be missing."""
    if os.environ.get("WAYSHOT_TEST_WITHOUT_NEWER_SWAY") != "1":
        return
    newer = [item for item in items if _build_of(item) not in {None, Build.HOST}]
    config.hook.pytest_deselected(items=newer)
    items[:] = [item for item in items if item not in newer]


def _build_of(item: pytest.Item) -> Build | None:
    return item.callspec.params.get("build") if hasattr(item, "callspec") else None


@pytest.fixture(scope="module")
def build(request: pytest.FixtureRequest) -> Build:
    """Name the compositor of a session: the one that a mark asks for."""
    return getattr(request, "param", Build.HOST)


@pytest.fixture(scope="module")
def session(build: Build) -> Iterator[Stage]:
    """Run a compositor with one small output for as long as the module's tests last."""
    with build.stage(ODD) as stage:
        yield stage


@pytest.fixture
def one_output(session: Stage) -> Stage:
    """HEADLESS-1 at scale 1, upright, at 0,0, showing the pattern."""
    session.set_output("HEADLESS-1", scale=1.0, transform="normal", position=(0, 0))
    session.set_background("HEADLESS-1", pattern(ODD.width, ODD.height))
    return session


@pytest.fixture
def even_output(one_output: Stage) -> Iterator[Stage]:
    """HEADLESS-1 with 200x120 pixels, which scales of 1.25 and 2 divide without a rest."""
    one_output.set_output("HEADLESS-1", width=200, height=120)
    yield one_output
    one_output.set_output("HEADLESS-1", width=ODD.width, height=ODD.height)
