"""Shells that complete: bash, zsh and fish with the files of completions/.

What they start as ``wayshot`` is a stand-in that notes what it is asked for and given:

    with Shell("bash", folder, words="DP-1\\tbig\\nDP-2\\tsmall\\n") as shell:
        assert shell.offered("wayshot -o D") == ["DP-1", "DP-2"]
        assert shell.run("wayshot -c -o DP-2\\t") == ["-c", "-o", "DP-2"]
"""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPLETIONS = Path(__file__).parents[1] / "completions"

PATIENCE = 30.0
"""Seconds that a shell has for anything."""

SHELLS = ("bash", "zsh", "fish")

STAND_IN = """#!/bin/sh
if [ "$_WAYSHOT_COMPLETE" ]; then
    echo "$_WAYSHOT_COMPLETE" >> .asked
    {answer}
    exit
fi
for word; do printf '%s\\0' "$word"; done > .given.new
mv .given.new .given
"""

START = {
    "bash": """
PS1= HISTFILE=
bind 'set enable-bracketed-paste off' 2>/dev/null
source {completions}/wayshot.bash
""",
    # A key that does what TAB does, notes what was offered, and empties the line.
    "zsh": """
PROMPT= HISTFILE=
unsetopt auto_list beep
fpath=({completions} $fpath)
autoload -Uz compinit
compinit -u -D
typeset -ga offered
compadd() {{
    local -a these
    (( ${{@[(I)-[OAD]]}} )) || {{ builtin compadd -O these "$@"; offered+=("$these[@]") }}
    builtin compadd "$@"
}}
offer() {{
    offered=()
    BUFFER=$(<.line) CURSOR=$#BUFFER
    zle complete-word
    (( $#offered )) && print -rN -- "$offered[@]" > .offered.new || : > .offered.new
    mv .offered.new .offered
    BUFFER=
}}
zle -N offer
bindkey '^T' offer
bindkey '^I' complete-word
""",
    "fish": """
function fish_prompt; end
set -g fish_greeting
source {completions}/wayshot.fish
""",
}

# What the function answers, and the files where it leaves those to readline.
BASH_OFFERED = """
compopt() { completes_by+=" $*"; }
completes_by=
_wayshot
((${#COMPREPLY[@]} == 0)) || printf '%s\\0' "${COMPREPLY[@]}"
[[ $completes_by != *default* ]] || compgen -f -- "${COMP_WORDS[COMP_CWORD]}" | tr '\\n' '\\0'
"""


class Shell:
    """An interactive shell in a folder that is its home, from ``__enter__`` to ``__exit__``.

    ``words`` are the lines that the stand-in says when it is asked, or ``real`` is the command
    that does.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        words: str = "",
        real: str = "cat .words",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.start = folder / ".zshrc"  # for all of them
        programs = folder / ".bin"
        programs.mkdir(parents=True)
        (programs / "wayshot").write_text(STAND_IN.format(answer=real))
        (programs / "wayshot").chmod(0o755)
        (folder / ".words").write_text(words)
        self.start.write_text(START[name].format(completions=COMPLETIONS))
        self._env = {
            "HOME": str(folder),
            "ZDOTDIR": str(folder),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PATH": f"{programs}:{os.environ['PATH']}",
            **(env or {}),
        }

    def __enter__(self) -> Self:
        """Start it."""
        program = shutil.which(self.name)
        assert program, f"{self.name} is not installed"
        words = {
            "bash": ["--noprofile", "--rcfile", ".zshrc", "-i"],
            "zsh": ["-d", "-i"],
            "fish": ["--no-config", "-i", "-C", "source .zshrc"],
        }[self.name]
        self._pid, self._terminal = pty.fork()
        if not self._pid:  # the child
            try:
                os.chdir(self.folder)
                # As UNTIL_OUR_END, which a shell at a terminal does not care for.
                os.execvpe(
                    "setpriv", ["setpriv", "--pdeathsig", "KILL", program, *words], self._env
                )
            finally:
                os._exit(127)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def asked(self) -> list[str]:
        """Return what the stand-in was asked for since the last time."""
        path = self.folder / ".asked"
        asked = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return asked

    def run(self, keys: str) -> list[str]:
        """Type keys, ``\\t`` among them, and Enter; return what wayshot was then given."""
        return self._type(keys.encode() + b"\r", ".given")

    def offered(self, line: str) -> list[str]:
        """Return the words that a TAB at the end of the line offers."""
        if self.name == "zsh":
            (self.folder / ".line").write_text(line)
            return self._type(b"\x14", ".offered")
        if self.name == "fish":
            quoted = line.replace("\\", "\\\\").replace("'", "\\'")
            lines = self._output("--no-config", "-c", f"source .zshrc; complete -C '{quoted}'")
            return [word.partition("\t")[0] for word in lines.split("\n")[:-1]]
        pieces = re.findall(r"[=:@]+|[^=:@\s]+", line) + [""] * line.endswith(" ")
        place = f"COMP_WORDS=({shlex.join(pieces)}) COMP_CWORD={len(pieces) - 1}"
        script = f"source .zshrc\n{place}\n{BASH_OFFERED}"
        return self._output("--norc", "--noprofile", "-c", script).split("\0")[:-1]

    def _output(self, *words: str) -> str:
        return subprocess.run(
            [self.name, *words], cwd=self.folder, env=self._env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, timeout=PATIENCE, check=False,
        ).stdout.decode()  # fmt: skip

    def _type(self, keys: bytes, name: str) -> list[str]:
        """Press keys, and wait for the file of words that comes of it."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        os.write(self._terminal, keys)
        deadline = time.monotonic() + PATIENCE
        seen = b""
        while not path.exists():
            assert time.monotonic() < deadline, seen.decode(errors="replace")
            # What the shell writes is taken, or it would wait for that.
            if select.select([self._terminal], [], [], 0.01)[0]:
                seen += os.read(self._terminal, 1 << 16)
        return path.read_text().split("\0")[:-1]
