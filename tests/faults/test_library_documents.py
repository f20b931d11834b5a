"""What the documents say of the library runs, line by line, and does what they say it does."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import wayshot_cli as wayshot
from tests.fake import Config, FakeCompositor, Output, Window
from tests.fake.config import Cursor
from tests.fake.toplevels import ACTIVATED

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LIBRARY = (ROOT / "docs" / "library.md").read_text()

ELSEWHERE = ("shot_dmabuf", "Stage(")
"""What only runs with a GPU or another compositor, and is tested there."""

LEFT = Output("DP-1", 400, 300)
RIGHT = Output("HDMI-A-1", 64, 48, x=400)
X, Y, W, H = 10, 20, 30, 40


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run the documents' session, in a folder of its own."""
    config = Config(
        outputs=(LEFT, RIGHT),
        image_copy_version=1,
        toplevel_list_version=1,
        toplevel_source_version=1,
        toplevel_manager_version=3,
        windows=(Window("one", "foot", "A terminal", "id-1", states=(ACTIVATED,)),),
        seat_version=1,
        cursor=Cursor(Output("the cursor", 9, 7), (20, 10), over="DP-1"),
        idle=True,
    )
    monkeypatch.chdir(tmp_path)
    with FakeCompositor(config) as compositor:
        for name, value in compositor.environ.items():
            monkeypatch.setenv(name, value)
        yield tmp_path
        compositor.wait_until_gone()
        assert compositor.violations == []


def paragraphs(document: str) -> list[str]:
    """Return the Python of a document, in the parts that blank lines make of it."""
    blocks = re.findall(r"^```python\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    return [part for block in blocks for part in re.split(r"\n\n+(?=\S)", block)]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("document", [README, LIBRARY], ids=["README", "library"])
def test_every_line_of_python_runs(document: str) -> None:
    names: dict[str, Any] = {}
    parts = paragraphs(document)
    assert len(parts) > 4
    for part in parts:
        code = compile(part, part, "exec")
        if not any(word in part for word in ELSEWHERE):
            exec(code, names)
    assert names["wayshot"] is wayshot


def test_the_signatures_are_the_true_ones() -> None:
    words = LIBRARY.partition("```text\n")[2].partition("```")[0]
    flat = re.sub(r"\s+", " ", words)
    for name in ("shot", "stream", "shot_dmabuf", "outputs", "windows"):
        (said,) = re.findall(rf"(?:^| ){name}\((.*?)\) ->", flat)
        parameters = inspect.signature(getattr(wayshot, name)).parameters.values()
        known = [
            f"{parameter.name}={parameter.default!r}".replace("'", '"') for parameter in parameters
        ]
        assert [word for word in said.split(", ") if word != "*"] == known
    for method in re.findall(r"(Frame|FrameStream)\.(\w+)\(", words):
        assert callable(getattr(getattr(wayshot, method[0]), method[1]))


def test_every_error_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+Error)` \|", LIBRARY, re.MULTILINE))
    errors = {name for name in wayshot.__all__ if name.endswith("Error")}
    assert explained == errors - {"WayshotError"}


def test_every_public_name_is_mentioned() -> None:
    names = set(wayshot.__all__)
    elsewhere = {"Alpha", "Cursor", "PortalWish", "Size", "Stage", "Transform", "parse_region"}
    assert {name for name in names - elsewhere if not re.search(rf"\b{name}\b", LIBRARY)} == set()


def cells() -> dict[str, list[str]]:
    """Return the code in the right column of the tables of those who come from elsewhere."""
    tables = LIBRARY.partition("## Coming from mss")[2]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", tables, re.MULTILINE)
    return {
        left: re.findall(r"`(.+?)`", right)
        for left, right in rows
        if left not in ("mss", "there") and not left.startswith("---")
    }


def value_of(code: str, names: dict[str, Any]) -> Any:
    """Run a cell, and return its value, if it is one."""
    try:
        compiled = compile(code, code, "eval")
    except SyntaxError:
        compiled = compile(code, code, "exec")
    return eval(compiled, names)


def test_every_way_from_elsewhere_leads_somewhere(place: Path) -> None:
    upright, everything = LEFT.upright(0), np.zeros((300, 464, 3), np.uint8)
    everything[:, :400] = upright
    everything[:48, 400:] = RIGHT.upright(1)
    part = upright[Y : Y + H, X : X + W]
    frame = wayshot.shot("DP-1")
    find_all = runpy.run_path(str(ROOT / "examples" / "find_picture.py"))["find_all"]
    names = {
        "wayshot": wayshot,
        "numpy": np,
        "frame": frame,
        "pixels": frame.to_numpy(),
        "x": X,
        "y": Y,
        "w": W,
        "h": H,
        "rgb": tuple((upright[Y, X] ^ 1).tolist()),
        "needle": part,
        "find_all": find_all,
    }
    values = {
        left: [value_of(code, names.copy()) for code in codes if code != "find_all"]
        for left, codes in cells().items()
    }
    values["`with mss.mss() as sct:`"][0].close()
    assert len(values) >= 30

    def shows(value: wayshot.Frame | Image.Image, expected: np.ndarray[Any, Any]) -> bool:
        return np.array_equal(np.asarray(value)[..., :3], expected)

    assert shows(values["`sct.grab(sct.monitors[0])`"][0], everything)
    assert shows(values["`sct.grab(sct.monitors[1])`"][0], upright)
    for left in (
        '`sct.grab({"left": x, "top": y, "width": w, "height": h})`',
        "`sct.grab((x, y, x + w, y + h))`",
        "`pyautogui.screenshot(region=(x, y, w, h))`",
        "`PIL.ImageGrab.grab(bbox=(x, y, x + w, y + h))`",
    ):
        assert shows(values[left][0], part)
    assert values['`sct.monitors[1]["left"]`, `["width"]`'] == [0, 400]
    assert values["`shot.size`, `shot.width`, `shot.height`"] == [(400, 300), 400, 300]
    assert values["`shot.rgb`"] == [upright.tobytes()]
    bgrx = np.frombuffer(values["`shot.bgra`, `shot.raw`"][0], np.uint8).reshape(300, 400, 4)
    assert np.array_equal(bgrx[..., 2::-1], upright)
    assert values["`shot.pixel(x, y)`"] == [tuple(upright[Y, X])] * 2
    assert values["`shot.pixels`"] == [upright.tolist()]
    assert np.array_equal(
        values["`numpy.array(shot)[..., :3]` (blue, green, red)"][0], upright[..., ::-1]
    )
    assert values["`pyautogui.size()`"] == [(400, 300)]
    assert values["`pyautogui.pixel(x, y)`"] == [tuple(upright[Y, X])]
    assert values["`pyautogui.pixelMatchesColor(x, y, rgb, tolerance=10)`"] == [True]
    assert values['`pyautogui.locateOnScreen("needle.png")`'] == [(X, Y)]
    assert values['`pyautogui.locateAllOnScreen("needle.png")`'] == [[(X, Y)]]
    for left in ("`pyautogui.screenshot()`", "`PIL.ImageGrab.grab()`, `grab(all_screens=True)`"):
        assert shows(values[left][0], everything)
    files = {path.name: np.asarray(Image.open(path).convert("RGB")) for path in place.iterdir()}
    assert set(files) == {"a.png", "all.png", "monitor-1.png", "monitor-2.png"}
    assert np.array_equal(files["monitor-1.png"], upright)
    assert np.array_equal(files["monitor-2.png"], RIGHT.upright(1))
    assert np.array_equal(files["all.png"], everything)
