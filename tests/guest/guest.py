"""A Linux guest with a render node, made of nothing but processes: User-Mode Linux with vgem.

    with Guest(["python", "-m", "pytest"], mounts=python_mounts(), env=..., timeout=60) as guest:
        status = guest.wait()

It has no hardware, no network, and needs no rights: the root is a folder that make-root makes, the
kernel an executable that build-kernel makes, both at ``make guest``. Folders of the host appear in
it, read-only, at their own paths; what the guest writes elsewhere lies in its memory and goes with
it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import platform
import secrets
import select
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]

MEMORY = "2G"
"""What the guest may use; the host gives it page by page, in /dev/shm."""

LEAST_MEMORY = 512 << 20
"""Bytes that /dev/shm must have free: what the tests use, with some to spare."""

PROCESSORS = 2

SHARED_MEMORY = Path("/dev/shm")
"""Where the guest's memory and its control folder lie, short enough for a socket's path."""

LONGEST_OUTPUT = 64 << 10
"""Bytes of the kernel's words that an error quotes from, at most."""


class GuestError(Exception):
    """The guest could not be made or started, died, or took too long; says why."""


class GuestTimeoutError(GuestError):
    """The command was still running when its time was over."""


class Guest:
    """One command in a guest that boots for it, in a ``with`` block or from start() to close().

    ``mounts`` are folders and single files of the host; the command starts in the first, a folder.
    Its standard output and error, one stream, go to ``output`` as they come. ``timeout``, in
    seconds, includes the boot. ``shared`` is a folder of the host that the guest sees, and may
    write to, as /run/guest.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        mounts: Sequence[Path] = (CHECKOUT,),
        env: Mapping[str, str] | None = None,
        timeout: float,
        output: BinaryIO,
    ) -> None:
        """Take what is to be done; nothing runs yet."""
        self._command = command
        self._mounts = mounts
        self._env = env or {}
        self._timeout = timeout
        self._output = output
        self._folder = Path()
        self._deadline = 0.0
        self._mark = f"\x1e{secrets.token_hex(8)}:".encode()
        self._held_back = b""
        self.shared = Path()

    def __enter__(self) -> Self:
        """Start the guest."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the guest."""
        self.close()

    def start(self) -> None:
        """Boot; the command follows. Raises GuestError where no guest can be."""
        _check_machine()
        kernel, root = _made_by("build-kernel"), _made_by("make-root")
        self._folder = Path(tempfile.mkdtemp(prefix="guest-", dir=SHARED_MEMORY))
        self.shared = self._folder / "shared"
        try:
            self._prepare()
            self._start(kernel, root)
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def close(self) -> None:
        """End the guest, whatever it does, and remove what it used."""
        # SIGTERM would leave it in an endless loop. Its own processes are in its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._pipe)
        shutil.rmtree(self._folder)

    def wait(self) -> int:
        """Return the command's exit status. Raises GuestError, GuestTimeoutError."""
        while (status := self.poll(1)) is None:
            pass
        return status

    def poll(self, seconds: float) -> int | None:
        """Pass on what the command writes within so many seconds; return its status at its end.

        Raises GuestError when the guest died, GuestTimeoutError when its time is over.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            message = f"the guest was not done within {self._timeout} s{self._kernel_words()}"
            raise GuestTimeoutError(message)
        if not select.select([self._pipe], [], [], min(left, seconds))[0]:
            return None
        if not (data := os.read(self._pipe, 1 << 16)):
            message = f"the guest died{self._kernel_words()}"
            raise GuestError(message)
        written, mark, status = (self._held_back + data).partition(self._mark)
        # What might be the beginning of the mark waits for the rest.
        start = written.rfind(self._mark[:1], -len(self._mark))
        if mark or start < 0:
            start = len(written)
        self._output.write(written[:start])
        self._output.flush()
        self._held_back = written[start:] + mark + status
        return int(status) if status.endswith(b"\n") else None

    def _prepare(self) -> None:
        """Write what init reads."""
        self.shared.mkdir()
        shutil.copy(HERE / "init", self.shared)
        (self.shared / "mark").write_bytes(self._mark)
        folders = [path for path in self._mounts if path.is_dir()]
        (self.shared / "mounts").write_text("".join(f"{path}\n" for path in folders))
        files = [path for path in self._mounts if not path.is_dir()]
        (self.shared / "files").write_text("".join(f"{path}\n" for path in files))
        exports = [f"export {name}={shlex.quote(value)}" for name, value in self._env.items()]
        words = [
            *exports,
            f"cd {shlex.quote(str(self._mounts[0]))}",
            f"exec {shlex.join(self._command)}",
        ]
        (self.shared / "command").write_text("\n".join([*words, ""]))

    def _start(self, kernel: Path, root: Path) -> None:
        # init lies with the folder that is shared, not in the root, which takes long to make.
        mount = f"mount -t hostfs -o hostfs={self.shared} hostfs /run"
        first_words = f"{mount} && exec /bin/sh /run/init prepare {self.shared}"
        self._pipe, theirs = os.pipe()
        try:
            with (self._folder / "kernel.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [
                        *("setpriv", "--pdeathsig", "KILL", kernel),
                        *(f"mem={MEMORY}", f"ncpus={PROCESSORS}", f"uml_dir={self._folder}/uml"),
                        # Two processors need it: ptrace, the other way, serves one only.
                        "seccomp=on",
                        *("rootfstype=hostfs", f"rootflags={root}", "ro"),
                        *("con=null", "con0=null,fd:1", f"con1=null,fd:{theirs}"),
                        *("quiet", "panic=-1", "vkms.create_default_dev=0"),
                        *("init=/bin/sh", "--", "-c", f'"{first_words}"'),
                    ],
                    env={**os.environ, "TMPDIR": str(SHARED_MEMORY)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs],
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)
        self._deadline = time.monotonic() + self._timeout

    def _kernel_words(self) -> str:
        words = (
            (self._folder / "kernel.log").read_bytes()[-LONGEST_OUTPUT:].decode(errors="replace")
        )
        # Where a panic came from says nothing here; what came before it does.
        lines = [line for line in words.splitlines() if not line.startswith(" [<")]
        return "\nThe end of what its kernel said:\n" + "\n".join(lines[-15:])


def run(
    command: Sequence[str],
    *,
    mounts: Sequence[Path] = (CHECKOUT,),
    env: Mapping[str, str] | None = None,
    timeout: float,
) -> int:
    """Run a command in a guest, its output live on ours; return its exit status.

    Raises GuestError, GuestTimeoutError.
    """
    output = sys.stdout.buffer
    with Guest(command, mounts=mounts, env=env, timeout=timeout, output=output) as guest:
        return guest.wait()


def python_mounts() -> list[Path]:
    """Return what makes this Python, its modules and the checkout usable in the guest.

    The guest's Debian is newer than what they were built on, so that its libraries serve them.
    """
    mounts = [CHECKOUT, Path(sys.prefix)]
    if sys.base_prefix != "/usr":
        mounts.append(Path(sys.base_prefix))
    else:
        mounts.append(Path(sysconfig.get_path("stdlib")))
    # The way from the virtual environment's python to the executable, link by link.
    link = Path(sys.executable)
    while link.is_symlink():
        link = Path(os.path.normpath(link.parent / link.readlink()))
        if not any(link.is_relative_to(folder) for folder in mounts):
            mounts.append(link)
    return mounts


def _check_machine() -> None:
    """Raise GuestError where no guest can run."""
    if platform.machine() != "x86_64":
        message = f"the guest needs an x86-64 machine, this is {platform.machine()}"
        raise GuestError(message)
    try:
        with tempfile.TemporaryFile(dir=SHARED_MEMORY) as file:
            file.truncate(mmap.PAGESIZE)
            protection = mmap.PROT_READ | mmap.PROT_EXEC
            mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=protection).close()
    except OSError as error:
        message = f"the guest needs a {SHARED_MEMORY} that may hold programs: {error}"
        raise GuestError(message) from None
    if (free := shutil.disk_usage(SHARED_MEMORY).free) < LEAST_MEMORY:
        message = (
            f"the guest needs {LEAST_MEMORY >> 20} MiB in {SHARED_MEMORY}, {free >> 20} are free"
        )
        raise GuestError(message)


def _made_by(script: str) -> Path:
    """Return what a script has made. It takes long, and so never happens unasked."""
    made = subprocess.run([HERE / script, "--made"], capture_output=True, text=True, check=False)
    if made.returncode:
        raise GuestError(made.stderr.strip())
    return Path(made.stdout.rstrip("\n"))
