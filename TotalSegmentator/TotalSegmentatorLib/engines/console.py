"""Listening to what libraries print, and reading progress from it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

# tqdm's bar: "  45%|####      | 5/11 [00:03<00:04,  1.20it/s]"
_TQDM = re.compile(r"\b(\d{1,3})%\|.*\|\s*(\d+(?:\.\d+)?\w*)/(\d+(?:\.\d+)?\w*)\s*\[")


def tqdm_fraction(line: str) -> float | None:
    """How far the bar in this line is, 0..1, or None if the line holds no bar of tqdm."""
    found = _TQDM.search(line)
    if not found:
        return None
    try:
        done, total = float(found[2]), float(found[3])
    except ValueError:  # with units, e.g. 1.2M/3M
        return int(found[1]) / 100
    return done / total if total else 0.0


class ConsoleTap(io.TextIOBase):
    """Stands in for ``sys.stdout`` and ``sys.stderr`` and hands on whole lines.

    Carriage returns end a line too: progress bars redraw themselves with them.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).replace("\r", "\n").split("\n")
        for line in lines:
            if line.strip():
                self._on_line(line.rstrip())
        return len(text)
