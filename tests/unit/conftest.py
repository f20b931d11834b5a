"""Fixtures of the unit tests: the kernels as installed, and compiled in other ways."""

import importlib.util
import os
import platform
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import cffi
import pytest

from wayshot_cli import kernels
from wayshot_cli.kernels import build_kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How kernels.c and yuv.c are compiled, besides as installed: for the oldest machine of its kind,
# and for the one in between that the loader would pick a clone for.
BUILDS = {"plain": ["-O3"]}
if platform.machine() == "x86_64":
    BUILDS["ssse3"] = ["-O3", "-mssse3"]


def compile_kernels(folder: Path, flags: list[str]) -> Path:
    """Compile kernels.c and yuv.c alone, without clones, and return the extension module's path."""
    builder = cffi.FFI()
    builder.cdef(build_kernels.KERNELS_CDEF)
    builder.set_source(
        "_plain_kernels",
        '#include "kernels.c"\n#include "yuv.c"\n',
        include_dirs=[str(build_kernels.HERE)],
        extra_compile_args=["-DWS_PLAIN", "-std=gnu11", "-Wall", "-Wextra", "-Werror", *flags],
        extra_link_args=[flag for flag in flags if flag.startswith("-fsanitize")],
    )
    return Path(builder.compile(tmpdir=str(folder)))


def load_kernels(path: Path) -> ModuleType:
    """Import an extension module that ``compile_kernels`` made."""
    spec = importlib.util.spec_from_file_location("_plain_kernels", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _use(module: ModuleType, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(kernels, "ffi", module.ffi)
    patch.setattr(kernels, "lib", module.lib)
    new_uncleared = module.ffi.new_allocator(should_clear_after_alloc=False)
    patch.setattr(kernels, "_new_uncleared", new_uncleared)


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], ModuleType]":
    """Return a function that gives the kernels as one of BUILDS, compiled once."""

    @cache
    def build(name: str) -> ModuleType:
        return load_kernels(compile_kernels(tmp_path_factory.mktemp(name), BUILDS[name]))

    return build


@pytest.fixture(scope="module", params=["installed", *BUILDS])
def every_build(
    request: pytest.FixtureRequest, builds: "Callable[[str], ModuleType]"
) -> "Iterator[str]":
    """Run a test with each way of compiling the kernels; yields its name.

    ``WAYSHOT_TEST_KERNELS`` names a module to take instead: see test_kernels_sanitised.py.
    """
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        if other := os.environ.get("WAYSHOT_TEST_KERNELS"):
            _use(load_kernels(Path(other)), patch)
        elif name != "installed":
            _use(builds(name), patch)
        yield name
