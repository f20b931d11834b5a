"""Run the benchmarks that are named, or all."""

import os
import sys

from benchmarks import command, dmabuf, encoder, recording

GROUPS = {
    "encoder": encoder.run,
    "command": command.run,
    "recording": recording.run,
    "dmabuf": dmabuf.run,
}


def main(names: list[str]) -> int:
    """Run the groups; 2 for an unknown name."""
    unknown = set(names) - set(GROUPS)
    if unknown:
        print(f"no such benchmark: {' '.join(unknown)}; there are {' '.join(GROUPS)}")
        return 2
    os.environ["WAYSHOT_CONFIG"] = os.devnull
    for name, run in GROUPS.items():
        if not names or name in names:
            run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
