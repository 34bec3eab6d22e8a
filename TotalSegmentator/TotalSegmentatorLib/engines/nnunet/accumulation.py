"""Adding up the scores of overlapping windows, with labels made as soon as rows are complete.

nnU-Net adds the scores of all windows in two half-precision volumes, one of them with a channel
for each class, and divides them at the end. Windows come in the order of their first row, so that
only as many rows as a window has need to be held; sums and quotients are the same, value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from ...errors import EngineError

#: Takes complete scores: (first row, scores (channels, rows, y, x) half).
Sink = Callable[[int, torch.Tensor], None]
ROWS_AT_ONCE = 8  # so that intermediate values stay in the processor's cache


class ScoreSweep:
    """The scores of a padded volume, complete from its first row (z) to its last.

    :param channels: of the network's output.
    :param folds: whose scores are averaged.
    :param shape: of the padded volume (z, y, x).
    :param weights: of a window's voxels, (z, y, x) half.
    :param windows: how many there will be.
    :param sink: is given complete rows, in order.
    """

    def __init__(
        self,
        channels: int,
        folds: int,
        shape: tuple[int, int, int],
        weights: torch.Tensor,
        windows: int,
        sink: Sink,
    ) -> None:
        self._weights = weights
        self._sink = sink
        self._height = weights.shape[0]
        self._rows = shape[0]
        self._complete = 0
        # The only window of a volume and a model is complete by itself.
        self._alone = windows == folds == 1
        if not self._alone:
            held = (self._height, *shape[1:])
            half = {"dtype": torch.half, "device": weights.device}
            # Row r of the volume lies in row r % height: nothing moves when rows are given away.
            self._sums = [torch.zeros((channels, *held), **half) for _ in range(folds)]
            self._counts = torch.zeros(held, **half)

    def begin_window(self, start: tuple[int, int, int]) -> None:
        """Announce the window that comes next; rows before it are complete."""
        self._give_away(start[0])
        self._start = start
        if not self._alone:
            for rows, held in self._held(0, self._height):
                self._counts[self._place(held)] += self._weights[rows]

    def add(self, fold: int, row: int, scores: torch.Tensor) -> None:
        """Add some rows of the current window's scores.

        :param row: the first of them, counted from the window's first.
        :param scores: (channels, rows, y, x); changed.
        """
        count = scores.shape[1]
        scores *= self._weights[row : row + count]
        if self._alone:
            weights = self._weights[row : row + count]
            self._sink(self._start[0] + row, _finite(scores.half().div_(weights)))
            return
        for rows, held in self._held(row, count):
            there = (slice(None), *self._place(held))
            self._sums[fold][there] += scores[:, rows.start - row : rows.stop - row]

    def finish(self) -> None:
        """All windows were added: the remaining rows are complete."""
        self._give_away(self._rows)

    def _place(self, held: slice) -> tuple[slice, slice, slice]:
        _, y, x = self._start
        _, height, width = self._weights.shape
        return held, slice(y, y + height), slice(x, x + width)

    def _held(self, row: int, count: int) -> Iterator[tuple[slice, slice]]:
        """Rows of the window, and where they are held; two pieces where the ring closes."""
        while count:
            slot = (self._start[0] + row) % self._height
            piece = min(count, self._height - slot)
            yield slice(row, row + piece), slice(slot, slot + piece)
            row, count = row + piece, count - piece

    def _give_away(self, stop: int) -> None:
        """Divide, hand over and forget the rows before ``stop``."""
        if self._alone:
            return
        while self._complete < stop:
            slot = self._complete % self._height
            count = min(ROWS_AT_ONCE, stop - self._complete, self._height - slot)
            held = slice(slot, slot + count)
            scores = _finite(self._sums[0][:, held] / self._counts[held])
            for sums in self._sums[1:]:
                scores += _finite(sums[:, held] / self._counts[held])
            if len(self._sums) > 1:
                scores /= len(self._sums)
            self._sink(self._complete, scores)
            for sums in self._sums:
                sums[:, held] = 0
            self._counts[held] = 0
            self._complete += count


def _finite(scores: torch.Tensor) -> torch.Tensor:
    """The scores of one fold, after a look at them: infinities of two folds may cancel out."""
    if torch.isinf(scores).any():
        raise EngineError(
            "engine.bad_scores",
            "The network's scores are beyond what half precision can hold.",
            "The image's intensities may be unusual; see whether they are in HU.",
        )
    return scores
