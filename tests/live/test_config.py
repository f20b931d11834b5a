"""The config on a real compositor: what a key binding needs is said by a profile's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.live.command import error, read, wayshot
from tests.live.conftest import ODD, on_every_compositor
from tests.stage import pattern

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stage import Stage

WRONG_USAGE = 2


@on_every_compositor
def test_a_profile_names_the_output_the_format_and_the_file(
    one_output: Stage, tmp_path: Path
) -> None:
    """A still and a recording by the same name; the line still has the last word."""
    folder = tmp_path / "config" / "wayshot"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f"""
        output = "NOWHERE-1"

        [profile.share]
        output = "HEADLESS-1"
        format = "tiff"
        file = "{tmp_path}/shared"

        [profile.share.record]
        region = "0,0 20x10"
        frames = 2
        file = "{tmp_path}/shared.y4m"
        """
    )
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "WAYSHOT_CONFIG": ""}
    for words in ("--profile", "share"), ("record", "--quiet", "--profile", "share"):
        result = wayshot(one_output, *words, env=env, cwd=tmp_path)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    with Image.open(tmp_path / "shared") as image:
        assert image.format == "TIFF"
        assert np.array_equal(np.asarray(image), pattern(ODD.width, ODD.height))
    assert (tmp_path / "shared.y4m").read_bytes().startswith(b"YUV4MPEG2 W20 H10 ")

    result = wayshot(
        one_output, "--profile", "share", "-g", "1,2 30x20", "a.png", env=env, cwd=tmp_path
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert np.array_equal(read(tmp_path / "a.png"), pattern(ODD.width, ODD.height)[2:22, 1:31])
    assert {it.name for it in tmp_path.iterdir()} == {"config", "shared", "shared.y4m", "a.png"}


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("curser = true\n[profile.share]", ":2: unknown key 'curser'"),
        ("cursor = 'yes'\n[profile.share]", ":2: cursor is to be true or false"),
        ("cursor = yes", ":2: Invalid value"),
        ("[profile.other]", "no profile 'share'"),
        ("[profile.share]\nregion = '0x0'", ":3: region: not a region"),
    ],
)
def test_a_config_with_an_error_writes_nothing(
    one_output: Stage, said: str, word: str, tmp_path: Path
) -> None:
    """2, with the line of the file; FILE is as before."""
    config, file = tmp_path / "config.toml", tmp_path / "a.png"
    config.write_text(f"file = '{file}'\n{said}\n")
    file.write_text("precious")
    env = {"WAYSHOT_CONFIG": str(config)}
    result = wayshot(one_output, "--profile", "share", env=env, cwd=tmp_path)
    assert result.returncode == WRONG_USAGE
    assert word in error(result)
    assert file.read_text() == "precious"
    assert {it.name for it in tmp_path.iterdir()} == {"config.toml", "a.png"}
