"""What an engine keeps in memory between the runs of one process, e.g. networks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
# The five networks of the largest task take 0.6 GB. So those of a few tasks stay, and a computer
# with 8 GB has enough left for other programs.
_CAP_BYTES = 2 * 1024**3


class Kept:
    """Values by key, the least recently used of which go when all of them take too much memory.

    :param cap_bytes: how much that is; the value used last stays however large it is.
    """

    def __init__(self, cap_bytes: int = _CAP_BYTES) -> None:
        self._cap_bytes = cap_bytes
        self._values: dict[Hashable, tuple[Any, int]] = {}  # the one used last is at the end

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The value that is kept for a key, or a new one.

        :param make: makes it; what it raises is passed on, and nothing is kept then.
        :param size: how many bytes a new value takes.
        """
        if key not in self._values:
            made = make()
            self._values[key] = made, size(made)
        self._values[key] = self._values.pop(key)  # to the end
        self._make_room()
        return self._values[key][0]

    def _make_room(self) -> None:
        total = sum(value_bytes for _, value_bytes in self._values.values())
        for key in list(self._values)[:-1]:
            if total <= self._cap_bytes:
                return
            total -= self._values.pop(key)[1]

    def clear(self) -> None:
        """Keep nothing, for a run that needs the memory."""
        self._values.clear()
