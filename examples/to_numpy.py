"""A picture of the screen as an array of NumPy's.

    python examples/to_numpy.py [OUTPUT]

says how large the picture is, its mean colour, and the colour in its middle.
"""

import sys

import wayshot_cli as wayshot


def main(output: str | None = None) -> None:
    """Take it and look at it."""
    frame = wayshot.shot(output)
    pixels = frame.to_numpy()  # a view of the compositor's own buffer: nothing was copied
    height, width, _ = pixels.shape
    red, green, blue = pixels.mean(axis=(0, 1))[:3]
    print(f"{width}x{height} pixels, {frame.scale:g} of them to a logical unit")
    print(f"mean colour #{round(red):02x}{round(green):02x}{round(blue):02x}")
    print("in the middle", pixels[height // 2, width // 2].tolist())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except wayshot.WayshotError as error:
        sys.exit(str(error))
