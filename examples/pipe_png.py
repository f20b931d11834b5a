"""Hands a picture to another program, as PNG on its standard input: no file, no path.

python examples/pipe_png.py [-g REGION] COMMAND...

python examples/pipe_png.py -g "$(slurp)" tesseract - -      the text of a region
python examples/pipe_png.py zbarimg --quiet --raw PNG:-      the QR codes on the screen
"""

import subprocess
import sys

import wayshot_cli as wayshot


def main(*words: str) -> int:
    """Run the command with the picture, and return how it ended."""
    region = None
    if words[:1] == ("-g",):
        region, words = words[1], words[2:]
    picture = wayshot.shot(region=region).encode("png")  # or jpeg, webp, qoi, ...
    return subprocess.run(words, input=picture, check=False).returncode  # noqa: S603 - what was asked for


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (wayshot.WayshotError, OSError) as error:
        sys.exit(str(error))
