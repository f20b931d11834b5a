"""Restore tokens on the disk: whole, private, and no reason to fail."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from tests.descriptors import leaving_no_descriptors
from wayshot_cli import cli
from wayshot_cli.backends.portal import tokens
from wayshot_cli.backends.portal.tokens import TokenStore


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "wayshot" / "portal.json"


def fails(line: str) -> None:
    pytest.fail(line)


def test_tokens_are_kept_by_desktop_and_target(file: Path) -> None:
    gnome, kde = TokenStore("GNOME", fails), TokenStore("KDE", fails)
    assert gnome.get("a") is None
    assert not file.parent.exists()
    gnome.put("a", "1")
    gnome.put("b", "2")
    kde.put("a", "3")
    gnome.put("a", "4")
    assert [gnome.get("a"), gnome.get("b"), kde.get("a"), kde.get("b")] == ["4", "2", "3", None]
    gnome.put("a", None)
    assert gnome.get("a") is None
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_nobody_else_can_read_them(file: Path) -> None:
    previous = os.umask(0)
    try:
        TokenStore("GNOME", fails).put("a", "1")
    finally:
        os.umask(previous)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_relative_state_folder_is_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(file.parent))
    assert tokens.path() == f"{file.parent}/.local/state/wayshot/portal.json"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"GNOME": 1}',
        b'{"GNOME": {"a": 1}}',
        b"\xff",
        b"[" * 100_000,
        b'{"GNOME": {"a": "\\u0000"}}',
        b'{"GNOME": {"a": "\\ud800"}}',
    ],
    ids=lambda content: content[:20].decode(errors="replace"),
)
def test_a_corrupt_file_is_ignored_and_replaced(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    said: list[str] = []
    store = TokenStore("GNOME", said.append)
    assert store.get("a") is None
    assert len(said) == 1
    assert "portal.json" in said[0]
    store.put("a", "1")
    assert store.get("a") == "1"
    assert len(said) == 1


@pytest.mark.parametrize("kind", ["folder", "fifo", "open fifo", "dangling", "device"])
def test_a_file_that_is_none_is_ignored(file: Path, kind: str) -> None:
    file.parent.mkdir(parents=True)
    if kind == "folder":
        (file / "x").mkdir(parents=True)
    elif kind in {"fifo", "open fifo"}:
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    said: list[str] = []
    with leaving_no_descriptors():
        store = TokenStore("GNOME", said.append)
        if kind == "open fifo":
            writer = os.open(file, os.O_RDWR)
            assert store.get("a") is None
            os.close(writer)
        assert store.get("a") is None
        store.put("a", "1")
        assert TokenStore("GNOME", lambda _: None).get("a") == (None if kind == "folder" else "1")
    assert bool(said) == (kind != "dangling")


def test_a_folder_that_cannot_be_made_is_said(file: Path) -> None:
    file.parent.parent.write_text("in the way")
    said: list[str] = []
    TokenStore("GNOME", said.append).put("a", "1")
    assert len(said) == 1
    assert "will ask again" in said[0]


def test_several_processes_lose_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_PATIENCE", 30.0)
    stores = [TokenStore("GNOME", fails) for _ in range(8)]

    def work(number: int) -> None:
        for _ in range(10):
            stores[number].put(f"target {number}", "x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(file.read_text())["GNOME"]) == 8


def test_the_command_forgets_them_all(file: Path) -> None:
    assert cli.run(["portal", "forget"]) == 0
    assert not file.parent.exists()
    TokenStore("GNOME", fails).put("a", "1")
    assert cli.run(["portal", "forget"]) == 0
    assert not file.exists()
    half = file.parent / ".portal-killed"  # while it was being written
    half.write_text('{"GNOME": {"a": "1"}}')
    assert cli.run(["portal", "forget"]) == 0
    assert not half.exists()
    file.write_text("nonsense")
    assert cli.run(["portal", "forget"]) == 0
    assert not file.exists()
    file.mkdir()
    assert cli.run(["portal", "forget"]) == 1
    assert cli.run(["portal"]) == 2
    assert cli.run(["portal", "remember"]) == 2
