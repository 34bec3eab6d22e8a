"""Adding up the scores of overlapping windows, with labels made as soon as rows are complete.

nnU-Net and MONAI add the scores of all windows in two volumes, one of them with a channel for each
class, and divide them at the end. Windows come in the order of their first row, so that only as
many rows as a window has need to be held; sums and quotients are the same, value by value.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch

from ..errors import EngineError

#: Takes complete scores: (first row, scores (channels, rows, y, x)).
Sink = Callable[[int, torch.Tensor], None]
ROWS_AT_ONCE = 8  # so that intermediate values stay in the processor's cache
# PyTorch leaves smaller convolutions to a kernel of its own, which rounds in another way (see
# ConvParams::use_mkldnn in its sources: the product of all sizes but the last two).
_ONEDNN_ABOVE = 20_480


def slabs(features: int, rows: int, columns: int, least: int = ROWS_AT_ONCE) -> list[slice]:
    """The rows of a window that are given to a convolution together.

    Its values are those for the whole window, bit by bit.

    :param features: channels of its input.
    :param rows: of the window.
    :param columns: of the window.
    :param least: rows that a slab has at least, if the window has them.
    """
    whole_is_onednn = features * rows * columns > _ONEDNN_ABOVE and torch.get_num_threads() > 1
    fewest = _ONEDNN_ABOVE // (features * columns) + 1 if whole_is_onednn else rows
    count = max(1, rows // max(least, fewest))
    bounds = [rows * slab // count for slab in range(count + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(bounds)]


class ScoreSweep:
    """The scores of a volume, complete from its first row to its last.

    :param channels: of the network's output.
    :param folds: whose scores are averaged.
    :param shape: of the volume (rows, y, x), nowhere smaller than a window.
    :param weights: of a window's voxels, (rows, y, x), in the precision that sums are made in.
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
            # Row r of the volume lies in row r % height: nothing moves when rows are given away.
            self._sums = [weights.new_zeros((channels, *held)) for _ in range(folds)]
            self._counts = weights.new_zeros(held)

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
            self._sink(self._start[0] + row, _finite(scores.to(weights.dtype).div_(weights)))
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
        precision = "half" if scores.dtype == torch.half else "single"
        raise EngineError(
            "engine.bad_scores",
            f"The network's scores are beyond what {precision} precision can hold.",
            "The image's intensities may be unusual; see whether those of a CT are in HU.",
        )
    return scores
