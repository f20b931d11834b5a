"""The stage with a renderer that has dmabuf: compositors on GLES, drawn by Mesa in software.

with GlesSway(Output(640, 480)) as sway:
    sway.set_background("HEADLESS-1", pattern(640, 480))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tests import stage

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

RENDER_NODE = "/dev/dri/renderD128"

RENDERER = {
    "WLR_RENDERER": "gles2",
    "WLR_RENDER_DRM_DEVICE": RENDER_NODE,
    # vgem is no GPU: Mesa draws with the processor.
    "WLR_RENDERER_ALLOW_SOFTWARE": "1",
    # Software puts no fences into dmabufs: what its threads had yet to draw, nobody could wait for.
    "LP_NUM_THREADS": "0",
}

PATIENCE = 60.0
"""Seconds for a start, which takes a second or two here, or for a change of an output."""


class _Gles(stage.Stage):
    """What renders with GLES on the guest's render node."""

    def __enter__(self) -> Self:
        """Start the compositor, in its own time."""
        # Not on import: the host's pytest imports this, too, and its compositors are faster.
        stage.PATIENCE = PATIENCE
        return super().__enter__()

    def spawn(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log: str = "clients.log",
    ) -> subprocess.Popen[bytes]:
        """Run a program, the compositor being the first, as the session's user until it ends."""
        return super().spawn(command, env={**RENDERER, **(env or {})}, log=log)


class GlesSway(_Gles, stage.Sway):
    """A headless sway."""


class GlesLabwc(_Gles, stage.Labwc):
    """A headless labwc, the guest's own."""

    def __init__(self, *outputs: stage.Output, config: str = "") -> None:
        """Describe the session; nothing runs yet."""
        super().__init__(*outputs, config=config, build=stage.Build.HOST)
