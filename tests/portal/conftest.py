"""A bus for the module, a compositor without capture protocols and a home of its own for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fake import Config, FakeCompositor, Output
from tests.portal.bus import SessionBus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTPUTS = (Output("FAKE-1", 64, 48), Output("FAKE-2", 80, 60, x=64))


@pytest.fixture(scope="module")
def bus() -> Iterator[SessionBus]:
    """Run a session bus for as long as the module's tests last."""
    with SessionBus() as bus:
        yield bus


@pytest.fixture
def state(tmp_path: Path, bus: SessionBus, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name the bus, a desktop and an empty state folder in the environment."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("WAYLAND_SOCKET", raising=False)
    return tmp_path / "state"


@pytest.fixture
def compositor(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCompositor]:  # noqa: ARG001 - the environment
    """Run a compositor with two outputs that lets nobody capture them."""
    with FakeCompositor(Config(outputs=OUTPUTS, screencopy_version=0)) as compositor:
        for name, value in compositor.environ.items():
            monkeypatch.setenv(name, value)
        yield compositor
