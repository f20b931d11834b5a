"""What the compositor says of dmabufs, which node is taken, and a libgbm that is not there."""

import math
import os
import struct
from pathlib import Path
from stat import S_IFCHR

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.descriptors import leaving_no_descriptors
from tests.processes import held_elsewhere, in_a_fork
from wayshot_cli.buffers import devices, gbm
from wayshot_cli.errors import CancelledError, CaptureError, CaptureTimeoutError, UnsupportedError
from wayshot_cli.wayland import dmabuf
from wayshot_cli.wayland.dmabuf import Feedback, pick, read_table

ENTRY = struct.Struct("=I4xQ")
Entries = list[tuple[int, int]]

entries = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)), min_size=1, max_size=40
)
words = st.integers(0, 2**16 - 1)


def memfd(data: bytes) -> int:
    fd = os.memfd_create("table", os.MFD_CLOEXEC)
    os.write(fd, data)
    return fd


def packed(table: Entries) -> bytes:
    return b"".join(ENTRY.pack(*entry) for entry in table)


def device(major: int, minor: int) -> bytes:
    return struct.pack("=Q", os.makedev(major, minor))


@given(entries, st.integers(0, 30))
def test_a_table_is_read_up_to_its_size(table: Entries, more: int) -> None:
    fd = memfd(packed(table) + bytes(more))
    try:
        assert read_table(fd, ENTRY.size * len(table)) == table
    finally:
        os.close(fd)


@given(entries, st.integers(-(2**31), 2**32 - 1))
def test_a_table_that_its_fd_does_not_hold_is_refused(table: Entries, size: int) -> None:
    data = packed(table)
    fd = memfd(data)
    try:
        if 0 < size <= len(data) and size % ENTRY.size == 0:
            assert read_table(fd, size) == table[: size // ENTRY.size]
        else:
            with pytest.raises(CaptureError, match="table of dmabuf formats"):
                read_table(fd, size)
    finally:
        os.close(fd)


def test_a_table_that_cannot_be_mapped_is_refused() -> None:
    read_end, write_end = os.pipe()
    try:
        for fd in (read_end, os.open("/", os.O_RDONLY | os.O_CLOEXEC)):
            with pytest.raises(CaptureError, match="table of dmabuf formats"):
                read_table(fd, ENTRY.size)
            os.close(fd)
    finally:
        os.close(write_end)


@given(entries, st.lists(words, max_size=50))
def test_indices_outside_the_table_are_refused(table: Entries, indices: list[int]) -> None:
    data = struct.pack(f"={len(indices)}H", *indices)
    if all(index < len(table) for index in indices):
        assert pick(table, data) == [table[index] for index in indices]
    else:
        with pytest.raises(CaptureError, match="not in its table"):
            pick(table, data)


@given(entries, st.binary(min_size=1, max_size=9).filter(lambda data: len(data) % 2))
def test_half_an_index_is_refused(table: Entries, data: bytes) -> None:
    with pytest.raises(CaptureError, match="not in its table"):
        pick(table, data)


def test_only_tranches_of_the_main_device_count() -> None:
    feedback = Feedback()
    table = [(1, 10), (1, 11), (2, 20)]
    said = feedback.handlers
    with leaving_no_descriptors():
        said["format_table"](memfd(packed(table)), 48)
        said["main_device"](device(226, 0))
        for target, indices in ((device(226, 1), [0, 1, 2]), (device(226, 0), [1, 2])):
            said["tranche_target_device"](target)
            said["tranche_formats"](struct.pack(f"={len(indices)}H", *indices))
            said["tranche_done"]()
        assert not feedback.is_done
        said["done"]()
    assert feedback.is_done
    assert feedback.modifiers == {1: [11], 2: [20]}
    assert feedback.main_device == os.makedev(226, 0)


def test_a_tranche_may_name_its_formats_in_several_events() -> None:
    """4 KiB is all that one event holds."""
    feedback = Feedback()
    said = feedback.handlers
    said["format_table"](memfd(packed([(1, 10), (1, 11), (2, 20)])), 48)
    said["main_device"](device(226, 0))
    said["tranche_target_device"](device(226, 0))
    for index in range(3):
        said["tranche_formats"](struct.pack("=H", index))
    said["tranche_done"]()
    assert feedback.modifiers == {1: [10, 11], 2: [20]}


def test_the_main_device_may_be_named_by_any_of_its_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for numbers, folder in {"226:0": "a", "226:128": "a", "226:129": "b"}.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / numbers).mkdir()
        (tmp_path / numbers / "device").symlink_to(tmp_path / folder)
    monkeypatch.setattr(dmabuf, "_SYS", str(tmp_path))
    feedback = Feedback()
    said = feedback.handlers
    said["format_table"](memfd(packed([(1, 10), (1, 11), (1, 12)])), 48)
    said["main_device"](device(226, 0))
    for index, minor in enumerate((128, 129, 130)):
        said["tranche_target_device"](device(226, minor))
        said["tranche_formats"](struct.pack("=H", index))
        said["tranche_done"]()
    assert feedback.modifiers == {1: [10]}


def test_the_fd_of_a_broken_table_is_closed() -> None:
    with leaving_no_descriptors(), pytest.raises(CaptureError):
        Feedback().handlers["format_table"](memfd(b""), 16)


@given(st.binary(max_size=20).filter(lambda data: len(data) != 8))
def test_a_device_of_another_size_is_refused(data: bytes) -> None:
    with pytest.raises(CaptureError, match="names a device by"):
        Feedback().handlers["main_device"](data)


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two devices in a sysfs of our own, the second without a render node; return its /dev/dri."""
    for numbers, names in {
        "226:0": ["card0", "renderD128"],
        "226:128": ["card0", "renderD128"],
        "226:1": ["card1"],
        "226:2": ["card2", "renderD129", "renderD12x"],
    }.items():
        for name in names:
            (tmp_path / "sys" / numbers / "device" / "drm" / name).mkdir(parents=True)
    dri = tmp_path / "dri"
    dri.mkdir()
    for name in ("card0", "card1", "renderD128", "renderD129", "renderD1000", "by-path"):
        (dri / name).touch()
    monkeypatch.setattr(devices, "_SYS", str(tmp_path / "sys"))
    monkeypatch.setattr(devices, "_DEV", str(dri))
    return dri


@pytest.mark.parametrize(
    ("numbers", "node"),
    [((226, 0), "renderD128"), ((226, 128), "renderD128"), ((226, 2), "renderD129")],
)
def test_any_node_of_a_device_leads_to_its_render_node(
    nodes: Path, numbers: tuple[int, int], node: str
) -> None:
    assert devices.render_node(os.makedev(*numbers)) == str(nodes / node)


@pytest.mark.parametrize("numbers", [(226, 1), (226, 7), (0, 0)])
def test_a_device_may_have_no_render_node(nodes: Path, numbers: tuple[int, int]) -> None:
    assert nodes.is_dir()
    assert devices.render_node(os.makedev(*numbers)) is None


def test_the_main_device_comes_first_and_each_node_once(nodes: Path) -> None:
    found = devices.candidates(None, os.makedev(226, 2))
    names = [os.path.relpath(node.path, nodes) for node in found]
    assert names == ["renderD129", "renderD128", "renderD1000"]
    assert "main device" in found[0].why
    assert "main device" not in found[1].why


def test_a_named_node_stands_alone(nodes: Path) -> None:
    assert nodes.is_dir()
    found = devices.candidates("/dev/dri/card7", os.makedev(226, 2))
    assert [node.path for node in found] == ["/dev/dri/card7"]


def test_a_named_primary_node_stands_for_its_render_node(
    nodes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test plays the kernel: none but root can make a device."""
    named = str(nodes / "card0")
    true_stat = os.stat

    def stat(path: str | int) -> os.stat_result:
        facts = list(true_stat(path))
        facts[0] = S_IFCHR
        return os.stat_result(facts, {"st_rdev": os.makedev(226, 0)})

    monkeypatch.setattr(os, "stat", stat)
    (found,) = devices.candidates(named, None)
    assert found.path == str(nodes / "renderD128")
    assert named in found.why


def test_a_node_that_cannot_be_used_is_passed_over_with_its_reason() -> None:
    def opener(path: str) -> str:
        if path != "c":
            message = f"{path}: Permission denied"
            raise UnsupportedError(message)
        return path.upper()

    tried = [devices.Candidate(path, "a test") for path in "abc"]
    opened, node, reasons = devices.open_first(tried, opener)
    assert (opened, node.path) == ("C", "c")
    assert reasons == ["a: Permission denied", "b: Permission denied"]
    with pytest.raises(UnsupportedError, match="a: Permission denied; b: Permission denied"):
        devices.open_first(tried[:2], opener)
    with pytest.raises(UnsupportedError, match="no render node"):
        devices.open_first([], opener)


@pytest.mark.parametrize(
    ("soname", "reason"),
    [("libgbm-that-is-not-there.so.1", "cannot be loaded"), ("libc.so.6", "too old")],
)
def test_a_missing_libgbm_is_a_reason(
    soname: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gbm, "_SONAME", soname)
    gbm.library.cache_clear()
    try:
        with pytest.raises(UnsupportedError, match=reason) as raised:
            gbm.library()
    finally:
        gbm.library.cache_clear()
    assert raised.value.exit_code == 4
    assert raised.value.hint is not None
    assert "libgbm" in raised.value.hint


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_what_is_freed_does_not_depend_on_the_order_of_its_ends(
    order: tuple[int, int, int],
) -> None:
    freed: list[str] = []
    device = gbm.Handle(lambda: freed.append("device"))
    bo = gbm.Handle(lambda: freed.append("bo"), device)
    mapping = gbm.Handle(lambda: freed.append("mapping"), bo)
    for index in order:
        assert "device" not in freed
        (device, bo, mapping)[index].drop()
    assert freed == ["mapping", "bo", "device"]


def test_a_forked_process_frees_nothing() -> None:
    """The device's open file, and so its buffers, are those of both; locks stay as they are."""
    freed: list[str] = []
    handle = gbm.Handle(lambda: freed.append("bo"))

    def drop() -> None:
        handle.drop()
        assert not freed

    with held_elsewhere(handle.lock):
        in_a_fork(drop)
    handle.drop()
    assert freed == ["bo"]


def test_modifiers_are_written_for_people() -> None:
    assert gbm.modifier_name(dmabuf.LINEAR) == "LINEAR"
    assert gbm.modifier_name(dmabuf.INVALID) == "INVALID"
    assert gbm.modifier_name(0x0100000000000002) == "0x0100000000000002"


def test_a_fence_is_waited_for_until_the_deadline() -> None:
    from time import monotonic

    from tests.fake import FakeCompositor
    from wayshot_cli.wayland.connection import Connection

    with FakeCompositor() as compositor, Connection(str(compositor.socket_path)) as connection:
        read_end, write_end = os.pipe()
        try:
            with pytest.raises(CaptureTimeoutError, match="while testing"):
                connection.wait_for_fence(read_end, "testing", monotonic() + 0.05)
            os.write(write_end, b"!")
            connection.wait_for_fence(read_end, "testing", monotonic() - 1)
            connection.wait_for_fence(read_end, "testing", math.inf)
            connection.wake()
            with pytest.raises(CancelledError):
                connection.wait(lambda: False, "testing", math.inf)
            connection.close()
            connection.wait_for_fence(read_end, "testing", monotonic() - 1)
            os.read(read_end, 1)
            with pytest.raises(CaptureTimeoutError, match="while testing"):
                connection.wait_for_fence(read_end, "testing", monotonic() + 0.05)
        finally:
            os.close(read_end)
            os.close(write_end)
