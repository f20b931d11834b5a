"""`wayshot doctor` on real compositors: its words, as files in golden/, and its exit code.

WAYSHOT_WRITE_GOLDEN=1 writes the files anew: look at what has changed, then commit it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.command import WAYSHOT
from tests.live.foreign import Mutter, Weston
from tests.stage import Build, Labwc, Output, Sway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.live.foreign import Foreign
    from tests.stage import Stage

GOLDEN = Path(__file__).parent / "golden"

PATIENCE = 30.0
"""Seconds after which doctor counts as hung: several times what it may take."""

OF_THIS_MACHINE = {"Files", "Software"}
"""Sections whose rows say nothing of the compositor."""
OF_THIS_MACHINE_TOO = ("libgbm", "/dev/dri", "libpipewire")
"""And rows."""

OURS = Output(640, 480, scale=1.5, transform="90")
CAPTURED: dict[str, Callable[[], Stage]] = {
    "sway-host": lambda: Sway(OURS),
    "sway-newer": lambda: Sway(OURS, build=Build.NEWER),
    "labwc": lambda: Labwc(OURS),
}
FOREIGN: dict[str, type[Foreign]] = {"mutter": Mutter, "weston": Weston}


def doctor(env: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run it; whatever it finds, it says nothing on stderr."""
    result = subprocess.run(
        [*WAYSHOT, "doctor", *options],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.stderr == ""
    return result


def assert_golden(name: str, text: str, *volatile: tuple[str, str]) -> None:
    """Compare what is said of the compositor with a file; ``volatile`` are words to exchange."""
    for words, placeholder in (*volatile, (r"\(process \d+\)", "(process N)")):
        text = re.sub(words, placeholder, text)
    lines, section, row = [], "", ""
    for line in text.splitlines():
        if not line.startswith(" "):
            section = line
        elif line[2] != " ":
            row = line.split()[0]
        is_heading = line == section
        if is_heading or not (section in OF_THIS_MACHINE or row.startswith(OF_THIS_MACHINE_TOO)):
            lines.append(line)
    said = "\n".join([*lines, ""])
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("WAYSHOT_WRITE_GOLDEN") == "1":
        path.write_text(said)
    assert path.exists(), f"no {path.name} yet (see above); this would be it:\n{said}"
    assert said == path.read_text()


@pytest.mark.parametrize("kind", CAPTURED)
def test_where_a_still_can_be_taken(kind: str) -> None:
    """It says so, exits with 0, and has tried it."""
    with CAPTURED[kind]() as stage:
        result = doctor(stage.env)
        facts = json.loads(doctor(stage.env, "--json").stdout)
        name = "{}-{}.{}".format(stage.program, *stage.version)
        runtime_dir = str(stage.runtime_dir)
    assert result.returncode == 0
    assert facts["can_shoot"]
    assert facts["trials"][0]["size"] == {"width": 480, "height": 640}
    # The newer ones are run by their own loader.
    assert_golden(name, result.stdout, (runtime_dir, "RUNTIME"), (r"ld-linux[\w-]*", stage.program))


@pytest.mark.parametrize("kind", FOREIGN)
def test_where_none_can_be_taken(kind: str) -> None:
    """It says why not and what to do instead, and exits with 4."""
    with FOREIGN[kind]() as session:
        result = doctor(session.env)
        facts = json.loads(doctor(session.env, "--json").stdout)
        name = f"{kind}-{session.version}"
        runtime_dir = str(session.runtime_dir)
    assert result.returncode == 4
    assert not facts["can_shoot"]
    assert kind in facts["why_not"]["message"]
    assert_golden(name, result.stdout, (runtime_dir, "RUNTIME"))


def test_without_a_compositor(tmp_path: Path) -> None:
    """All that does not depend on one is told all the same."""
    env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path)}
    result = doctor(env)
    assert result.returncode == 4
    assert "\n  libraries " in result.stdout
    assert_golden("none", result.stdout, (str(tmp_path), "RUNTIME"))
