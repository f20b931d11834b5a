"""Sessions of ext-image-copy-capture on a model of a compositor that writes as little as it may.

The model answers when the test says so, and fails, stops and changes its mind whenever the protocol
allows it. What it need not write it leaves as it is; buffers of frames that failed, or that were
destroyed under way, it leaves spoilt.
"""

from __future__ import annotations

import math
import mmap
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wayshot_cli.backends.common import ANY
from wayshot_cli.backends.image_copy import ImageCopy, Session, Target
from wayshot_cli.errors import CancelledError, CaptureError, CaptureTimeoutError
from wayshot_cli.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from wayshot_cli.frame import Frame

XRGB8888 = 1  # wl_shm.format
UNKNOWN, BUFFER_CONSTRAINTS, STOPPED = range(3)
SPOILT = 0xDEADBEEF

_MOST_HELD = 6


class Proxy:
    """An object on the wire: requests go to the model at once, events when they are dispatched."""

    def __init__(self, model: Model, kind: str) -> None:
        self.model = model
        self.kind = kind
        self.is_alive = True
        self.handlers: dict[str, Callable[..., object]] = {}

    def create(self, request: str, *args: Any, **handlers: Callable[..., object]) -> Proxy:
        assert self.is_alive
        made = {
            "create_pool": Pool,
            "create_buffer": Buffer,
            "create_session": ModelSession,
            "create_frame": ModelFrame,
        }
        proxy = made[request](self.model, request)
        proxy.handlers = handlers
        proxy.begin(self, *args)
        return proxy

    def begin(self, parent: Proxy, *args: Any) -> None:
        pass

    def send(self, request: str, *args: Any) -> None:
        assert self.is_alive
        getattr(self, request)(*args)

    def destroy(self) -> None:
        self.is_alive = False

    def say(self, event: str, *args: int) -> None:
        self.model.events.append((self, event, args))


class Pool(Proxy):
    def begin(self, _parent: Proxy, *args: Any) -> None:
        self.fd, self.nbytes = os.dup(args[0]), args[1]


class Buffer(Proxy):
    def begin(self, parent: Proxy, *args: Any) -> None:
        assert isinstance(parent, Pool)
        _, width, height, stride, code = args
        assert (stride, code) == (width * 4, XRGB8888)
        memory = mmap.mmap(parent.fd, parent.nbytes)
        os.close(parent.fd)
        self.pixels = np.frombuffer(memory, np.uint32).reshape(height, width)
        self.pixels[:] = SPOILT
        self.is_new = True


class ModelSession(Proxy):
    def begin(self, _parent: Proxy, *_: Any) -> None:
        self.model.sessions.append(self)
        self.frame: ModelFrame | None = None
        self.is_stopped = False
        self.damage: list[Box] | None = None  # since the last ready; None: all
        self.describe()

    def describe(self) -> None:
        height, width = self.model.screen.shape
        self.say("buffer_size", width, height)
        self.say("shm_format", XRGB8888)
        self.say("done")

    def stop(self) -> None:
        self.is_stopped = True
        self.say("stopped")
        if self.frame:
            self.frame.fail(STOPPED)


class ModelFrame(Proxy):
    def begin(self, parent: Proxy, *_: Any) -> None:
        assert isinstance(parent, ModelSession)
        assert parent.frame is None, "a second frame"
        parent.frame = self
        self.session = parent
        self.stale: list[Box] = []
        self.is_owed = False

    def attach_buffer(self, buffer: Buffer) -> None:
        assert buffer.is_alive
        self.buffer = buffer

    def damage_buffer(self, *numbers: int) -> None:
        assert min(numbers[:2]) >= 0
        assert min(numbers[2:]) > 0
        self.stale.append(Box(*numbers))

    def capture(self) -> None:
        self.is_owed = True
        if self.session.is_stopped:
            self.fail(STOPPED)
        elif self.buffer.pixels.shape != self.model.screen.shape:
            self.fail(BUFFER_CONSTRAINTS)
        else:
            if self.buffer.is_new:
                assert Box(0, 0, *self.buffer.pixels.shape[::-1]) in self.stale
            self.buffer.is_new = False

    def destroy(self) -> None:
        if self.is_alive:
            self.spoil()
            self.session.frame = None
        super().destroy()

    def fail(self, reason: int) -> None:
        if self.is_owed:
            self.spoil()
            self.is_owed = False
            self.say("failed", reason)

    def spoil(self) -> None:
        if self.is_owed:
            self.buffer.pixels[:] = SPOILT

    @property
    def is_due(self) -> bool:
        return self.is_owed and self.session.damage != []

    def answer(self) -> None:
        """Write what has to be written, and say so."""
        screen, changed = self.model.screen, self.session.damage
        damage = [Box(0, 0, *screen.shape[::-1])] if changed is None else changed
        for box in (*damage, *self.stale):
            part = np.s_[box.y : box.bottom, box.x : box.right]
            self.buffer.pixels[part] = screen[part]
        for box in damage:
            self.say("damage", *box)
        self.session.damage = []
        self.is_owed = False
        self.model.shown[id(self)] = screen.copy()
        self.say("ready")


class Model:
    """A compositor and the connection to it."""

    compositor = "the model"

    def __init__(self) -> None:
        self.screen = np.zeros((5, 7), np.uint32)
        self.sessions: list[ModelSession] = []
        self.events: list[tuple[Proxy, str, tuple[int, ...]]] = []
        self.shown: dict[int, np.ndarray[Any, Any]] = {}  # by the frame that was answered
        self.newest: np.ndarray[Any, Any] | None = None  # what the frame of the last ready shows

    def dispatch(self, done: Callable[[], bool] = lambda: False) -> None:
        while self.events and not done():
            proxy, event, args = self.events.pop(0)
            if proxy.is_alive:
                if event == "ready":
                    self.newest = self.shown[id(proxy)]
                proxy.handlers[event](*args)

    def answer(self) -> None:
        for session in self.sessions:
            if session.is_alive and session.frame and session.frame.is_due:
                session.frame.answer()

    # What a session needs of a connection.

    def wait(self, done: Callable[[], bool], what: str, _deadline: float) -> None:
        for _ in range(50):
            self.dispatch(done)
            if done():
                return
            self.answer()
        message = f"silence while {what}"
        raise CaptureTimeoutError(message)

    def roundtrip(self, _what: str) -> None:
        self.dispatch()

    def sleep(self, _seconds: float) -> None:
        self.dispatch()


class Captures:
    """A session on the model, the frames that it has given, and what each has to show."""

    def __init__(self) -> None:
        self.model = Model()
        backend = SimpleNamespace(
            connection=self.model, wish=ANY, manager=Proxy(self.model, "manager"),
            shm=Proxy(self.model, "shm"), prefers_shm=False, memory="shared memory",
        )  # fmt: skip
        target = Target(
            "the model's screen", lambda: cast("Any", Proxy(self.model, "source")), lambda: False,
            Box(0, 0, 7, 5),
        )  # fmt: skip
        self.session = Session(cast("ImageCopy", backend), target, cursor=False)
        self.changes = 0
        self.held: list[tuple[Frame, np.ndarray[Any, Any]]] = []
        self.can_wait = False  # for damage, as the last frame is there
        self.waits = False

    def do(self, step: str, box: Box) -> None:
        """Do something, if it can be done now, and look at all frames that are held."""
        getattr(self, step)(box)
        for frame, shown in self.held:
            pixels = np.frombuffer(frame.memory, np.uint32).reshape(frame.size[::-1])
            assert np.array_equal(pixels, shown)
        self.model.sessions = [session for session in self.model.sessions if session.is_alive]
        assert len(self.model.sessions) <= 1

    def change(self, box: Box) -> None:
        part = Box(0, 0, *self.model.screen.shape[::-1]).intersection(box)
        assert part
        self.changes += 1
        self.model.screen[part.y : part.bottom, part.x : part.right] = self.changes
        for session in self.model.sessions:
            if session.damage is not None:
                session.damage.append(part)

    def resize(self, box: Box) -> None:
        self.changes += 1
        self.model.screen = np.full((4 + box.height, 3 + box.width), self.changes, np.uint32)
        for session in self.model.sessions:
            session.damage = None
            if not session.is_stopped:
                session.describe()
            if session.frame:
                session.frame.fail(BUFFER_CONSTRAINTS)

    def describe(self, _box: Box) -> None:
        for session in self.model.sessions:
            if not session.is_stopped:
                session.describe()

    def stop(self, _box: Box) -> None:
        for session in self.model.sessions:
            if not session.is_stopped:
                session.stop()

    def fail(self, box: Box) -> None:
        for session in self.model.sessions:
            if session.frame:
                session.frame.fail(99 if box.x else UNKNOWN)

    def answer(self, _box: Box) -> None:
        self.model.answer()

    def dispatch(self, _box: Box) -> None:
        self.model.dispatch()

    def start(self, box: Box) -> None:
        if not self.session.is_started:
            self.waits = self.can_wait and box.x > 0
            self.session.start(damage=self.waits)

    def cancel(self, _box: Box) -> None:
        self.session.cancel()

    def forget(self, box: Box) -> None:
        for step in ("start", "dispatch", "answer", "cancel"):
            getattr(self, step)(box)
        self.can_wait = False  # as recordings do
        self.start(box)

    def finish(self, _box: Box) -> None:
        if not self.session.is_started:
            return
        self.can_wait = False
        try:
            frame = self.session.finish(math.inf)
        except CaptureTimeoutError:
            assert self.waits
        except CaptureError as error:
            assert "ended the capture" in str(error)  # noqa: PT017 - or nothing is wrong
        else:
            assert self.model.newest is not None
            self.held.append((frame, self.model.newest))
            del self.held[:-_MOST_HELD]
            self.can_wait = True

    def capture(self, box: Box) -> None:
        self.start(box)
        self.change(box)
        self.finish(box)

    def drop(self, box: Box) -> None:
        del self.held[: box.width]

    def close(self) -> None:
        self.held.clear()
        self.session.close()
        assert not any(session.is_alive for session in self.model.sessions)


boxes = st.builds(Box, st.integers(0, 3), st.integers(0, 3), st.integers(1, 4), st.integers(1, 3))
usual = st.sampled_from(["capture", "capture", "capture", "drop", "change", "forget"])
single = st.sampled_from(["change", "start", "dispatch", "answer", "finish", "cancel", "drop"])
trouble = st.sampled_from(["resize", "describe", "stop", "fail"])
steps = st.tuples(usual | usual | single | single | single | trouble, boxes)


@settings(max_examples=100)
@given(st.lists(steps, min_size=30, max_size=60))
def test_every_pixel_of_every_frame_is_right_whatever_happens(
    happening: list[tuple[str, Box]],
) -> None:
    captures = Captures()
    for step in happening:
        captures.do(*step)
    captures.close()


def test_a_frame_that_was_forgotten_after_its_answer_is_not_waited_for_again() -> None:
    """The compositor has answered, and would wait for the next change of an idle screen."""
    captures = Captures()
    for step in ("start", "dispatch", "answer", "cancel", "start", "finish"):
        captures.do(step, Box(0, 0, 1, 1))
    assert len(captures.held) == 1
    captures.close()


class Unreadable:
    """A dmabuf that is waited for when somebody wakes the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, _deadline: float) -> None:
        message = "woken"
        raise CancelledError(message)


def test_a_picture_that_could_not_be_read_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though nothing has changed since: nobody has seen the last change."""
    captures, somewhere = Captures(), Box(1, 0, 1, 1)
    captures.do("capture", somewhere)
    captures.do("change", somewhere)
    captures.do("start", somewhere)
    finish = captures.session._finish
    with monkeypatch.context() as patch:
        patch.setattr(
            captures.session, "_finish", lambda deadline: (finish(deadline), Unreadable())[1]
        )
        with pytest.raises(CancelledError):
            captures.session.finish(math.inf)
    captures.session.start(damage=True)
    captures.do("finish", somewhere)
    assert len(captures.held) == 2
    captures.close()
