"""Colours for the structures of the master table that have none: after a rule, and all distinct."""

from __future__ import annotations

import colorsys
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

#: Two structures of one task differ by at least this: CIE76, the Euclidean distance in CIELAB
#: (sRGB, D65). People just see a difference of about 2.3.
MINIMUM_COLOR_DISTANCE = 5.0

# Hue and its spread (of 1 turn), lightness, saturation; a spread of 1 is any hue: many neighbours
# must be told apart.
_PALETTE: Mapping[str, tuple[float, float, float, float]] = {
    "skeleton": (0.12, 0.04, 0.78, 0.50),
    "spine": (0.13, 0.06, 0.72, 0.55),
    "teeth": (0.50, 1.00, 0.72, 0.45),
    "muscles": (0.02, 0.05, 0.45, 0.50),
    "vessels": (0.00, 0.04, 0.50, 0.75),
    "heart": (0.98, 0.05, 0.50, 0.65),
    "lungs": (0.55, 0.10, 0.70, 0.45),
    "digestive": (0.09, 0.10, 0.55, 0.55),
    "urinary": (0.14, 0.06, 0.50, 0.65),
    "reproductive": (0.90, 0.06, 0.65, 0.50),
    "glands": (0.15, 0.08, 0.55, 0.65),
    "brain": (0.50, 1.00, 0.62, 0.55),
    "nerves": (0.16, 0.04, 0.65, 0.80),
    "eyes_ears": (0.60, 0.20, 0.60, 0.55),
    "cavities": (0.52, 0.15, 0.65, 0.40),
    "body": (0.08, 0.06, 0.75, 0.40),
    "lesions": (0.30, 0.12, 0.50, 0.75),
    "implants": (0.62, 0.06, 0.55, 0.25),
}
_VEIN_HUE = 0.62
_RIGHT_IS_DARKER_BY = 0.12
_SIDES = {"left", "right"}

Color = tuple[int, int, int]


def color_of_rule(row: Mapping[str, str]) -> Color:
    """The colour that a row of the table should have: hue after its group, same for both sides."""
    hue, spread, lightness, saturation = _PALETTE[row["group"]]
    if row["group"] == "vessels" and ("vein" in row["name"].casefold()):
        hue = _VEIN_HUE
    stem = "_".join(word for word in row["id"].casefold().split("_") if word not in _SIDES)
    hue += spread * ((zlib.crc32(stem.encode()) % 1000) / 1000 - 0.5)
    if row["laterality"] == "right":
        lightness -= _RIGHT_IS_DARKER_BY
    red, green, blue = colorsys.hls_to_rgb(hue % 1, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def distinct_color(wanted: Color, others: Iterable[Color]) -> Color:
    """The colour itself, or the nearest that can be told from all the others.

    :raises SystemExit: if there is none.
    """
    taken = list(others)
    for candidate in _candidates(wanted):
        if all(color_distance(candidate, other) >= MINIMUM_COLOR_DISTANCE for other in taken):
            return candidate
    raise SystemExit(f"no distinct colour near {wanted}")


def _candidates(color: Color) -> Iterator[Color]:
    """Colours around one, nearest first, on a grid; always in the same order."""
    for shift in _shifts():
        red, green, blue = (c + s for c, s in zip(color, shift, strict=True))
        if min(red, green, blue) >= 0 and max(red, green, blue) <= 255:
            yield red, green, blue


@cache
def _shifts() -> list[tuple[int, int, int]]:
    steps = range(-96, 97, 6)
    cube = [(r, g, b) for r in steps for g in steps for b in steps]
    return sorted(cube, key=lambda s: (s[0] ** 2 + s[1] ** 2 + s[2] ** 2, s))


def color_distance(one: Color, other: Color) -> float:
    """CIE76."""
    return math.dist(_lab(one), _lab(other))


@cache
def _lab(color: Color) -> tuple[float, float, float]:
    """CIELAB of an sRGB colour of 0 to 255 (IEC 61966-2-1, white point D65)."""
    red, green, blue = (_linear(channel / 255) for channel in color)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (_compressed(value) for value in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _compressed(value: float) -> float:
    delta = 6 / 29
    return value ** (1 / 3) if value > delta**3 else value / (3 * delta**2) + 4 / 29
