"""Frames: which images of a sequence are meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import InputError

_REMEDY = "Write all, current, or frames counted from 1: 3-10, or 1, 3, 5-7."
_RANGE = re.compile(r"([0-9]+)(?:\s*[-–]\s*([0-9]+))?")


def parse_frames(
    choice: str | Sequence[int], count: int, current: int | None = None
) -> tuple[int, ...]:
    """The indices that a choice of frames means, each once, in order.

    Text is written by people, who count from 1 as Slicer's sequence browser does: ``all``,
    ``current``, ``3-10``, ``1, 3, 5-7``. Numbers come from programs and are indices: they count
    from 0.

    :param count: how many frames there are.
    :param current: index of the frame that is shown, if one is.
    :return: indices from 0 to count - 1; at least one.
    :raises InputError: ``input.bad_frames`` if the text cannot be read or means no frame,
        ``input.no_such_frame``.
    """
    if isinstance(choice, str):
        ranges = _parse_text(choice.strip().lower(), count, current)
    else:
        ranges = [(index, index) for index in choice]
    if not ranges:
        raise InputError("input.bad_frames", "No frame is chosen.", _REMEDY)
    for bounds in ranges:
        for index in bounds:
            if not 0 <= index < count:
                raise InputError(
                    "input.no_such_frame",
                    f"There is no frame {index + 1}; the sequence has {count}.",
                    _REMEDY,
                )
    return tuple(sorted({n for first, last in ranges for n in range(first, last + 1)}))


def _parse_text(text: str, count: int, current: int | None) -> list[tuple[int, int]]:
    """First and last index of each part."""
    if text == "all":
        return [(0, count - 1)] if count else []
    if text == "current":
        if current is None:
            raise InputError("input.bad_frames", "No frame is shown.", "Choose frames by number.")
        return [(current, current)]
    return [_parse_part(part.strip()) for part in text.split(",")]


def _parse_part(part: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(part)
    # int() refuses thousands of digits with an error of its own.
    if match is None or len(part) > 40:
        raise InputError("input.bad_frames", f"'{part[:40]}' does not name frames.", _REMEDY)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise InputError(
            "input.bad_frames", f"Frames {first} to {last} run backwards.", f"Write {last}-{first}."
        )
    return first - 1, last - 1
