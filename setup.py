"""What pyproject.toml cannot say: what cffi makes, and the tag of a wheel for every Python 3."""

from setuptools import setup

setup(
    cffi_modules=[
        "wayshot_cli/kernels/build_kernels.py:ffibuilder",
        "wayshot_cli/backends/pipewire/build_pipewire.py:ffibuilder",
        "wayshot_cli/buffers/build_egl.py:ffibuilder",
        "wayshot_cli/buffers/build_gbm.py:ffibuilder",
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
