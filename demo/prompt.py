"""Types commands at a prompt, for a film of a terminal: python -m demo.prompt COMMAND..."""

import subprocess
import sys
import time

_GREEN, _PLAIN = "\033[1;32m", "\033[0m"
_LETTER, _THOUGHT = 0.02, 0.5  # seconds


def main() -> None:
    """Type each command, and run it."""
    for command in sys.argv[1:]:
        print(f"{_GREEN}${_PLAIN} ", end="", flush=True)
        time.sleep(_THOUGHT / 2)
        for letter in command:
            print(letter, end="", flush=True)
            time.sleep(_LETTER)
        time.sleep(_THOUGHT / 4)
        print(flush=True)
        subprocess.run(["sh", "-c", command], check=False)
        time.sleep(_THOUGHT)
    print(f"{_GREEN}${_PLAIN} ", end="", flush=True)
    time.sleep(60)  # or until nobody looks any more


if __name__ == "__main__":
    main()
