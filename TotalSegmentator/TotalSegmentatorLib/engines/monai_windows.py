"""MONAI's sliding window in bounded memory: its windows, its sums and its quotients, bit by bit.

MONAI holds the scores of the whole padded volume. Windows come in the order of their first row (x),
so that as many rows as a window has are enough, and padding need not be held at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from monai.data.utils import compute_importance_map, dense_patch_slices

from ..errors import EngineError
from .accumulation import ScoreSweep, Sink

Size = tuple[int, int, int]
#: Some of a window's scores: (first row, scores (channels, rows, y, z)), see :class:`Windows`.
Rows = Iterable[tuple[int, torch.Tensor]]

_SIGMA_SCALE = 0.125


@dataclass(frozen=True)
class Windows:
    """Where MONAI places its windows in a volume.

    :param roi: size of a window (x, y, z).
    :param starts: first voxels of the windows in the padded volume, in MONAI's order.
    :param padding: voxels to add before and after each axis so that a window fits.
    :param inner: the part of a window that is not padding. It is the same for all windows: along
        an axis that is padded there is only one.
    """

    roi: Size
    starts: tuple[Size, ...]
    padding: tuple[tuple[int, int], ...]
    inner: tuple[slice, slice, slice]


def place_windows(shape: Sequence[int], roi: Size, overlap: float) -> Windows:
    """
    :param shape: of the volume (x, y, z), without padding.
    :param overlap: share of a window that neighbours have in common, 0 to below 1.
    """
    missing = [max(edge - size, 0) for size, edge in zip(shape, roi, strict=True)]
    padding = tuple((gap // 2, gap - gap // 2) for gap in missing)
    padded = [max(size, edge) for size, edge in zip(shape, roi, strict=True)]
    interval = [
        edge if edge == size else max(1, int(edge * (1 - overlap)))
        for size, edge in zip(padded, roi, strict=True)
    ]
    places = dense_patch_slices(padded, roi, interval)
    starts = tuple((int(x.start), int(y.start), int(z.start)) for x, y, z in places)
    x, y, z = (
        slice(before, edge - after) for edge, (before, after) in zip(roi, padding, strict=True)
    )
    return Windows(roi, starts, padding, (x, y, z))


def sweep_windows(
    volume: torch.Tensor,
    windows: Windows,
    channels: int,
    predict: Callable[[torch.Tensor], Iterable[Rows]],
    sink: Sink,
    on_window: Callable[[int, int], None],
    batch: int = 1,
    sums_on: torch.device | None = None,
    mode: str = "gaussian",
) -> None:
    """Run a network on all windows of a volume and average their scores, as MONAI does.

    :param volume: (x, y, z) float32, on the network's device.
    :param windows: what :func:`place_windows` says for its shape.
    :param channels: of the scores.
    :param predict: for windows (windows, 1, x, y, z) the scores of each, in order of rows. Only
        the part ``windows.inner`` is wanted, rows are counted from its first. Scores are changed.
    :param sink: gets complete scores of the volume, in order of rows; they may be changed.
    :param on_window: is told after each window how many are done, of how many; may raise.
    :param batch: windows that are given to ``predict`` together.
    :param sums_on: device where scores are added up; None for the volume's.
    :param mode: MONAI's name for how the voxels of a window are weighed: ``gaussian``, or
        ``constant`` for all alike.
    :raises EngineError: ``engine.bad_scores``.
    """
    importance = compute_importance_map(
        windows.roi, mode=mode, sigma_scale=_SIGMA_SCALE, device=volume.device
    )
    weights = importance[windows.inner].contiguous().to(sums_on or volume.device)
    count = len(windows.starts)
    sweep = ScoreSweep(channels, 1, _size(volume), weights, count, sink)
    padded = _padded(volume, windows)
    for first in range(0, count, batch):
        group = windows.starts[first : first + batch]
        scores = predict(torch.stack([_cut(padded, start, windows.roi) for start in group]))
        for number, rows in enumerate(scores):
            sweep.begin_window(group[number])
            _add(sweep, rows, weights.device)
            on_window(first + number + 1, count)
    sweep.finish()


def _add(sweep: ScoreSweep, rows: Rows, device: torch.device) -> None:
    # A function, as its last scores would lie in the midst of the next window's memory.
    for row, part in rows:
        sweep.add(0, row, part.to(device))


def best_of(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The highest score of each voxel, and the channel that has it: of equal ones the first.

    :param scores: (channels, rows, y, z).
    :raises EngineError: ``engine.bad_scores`` if some are no numbers, as in half precision.
    """
    highest, which = scores.max(0)
    if highest.isnan().any():
        raise EngineError(
            "engine.bad_scores",
            "The network gives no numbers for a part of the image.",
            "The image's intensities may be unusual; see whether it is the right image.",
        )
    return highest, which


def _padded(volume: torch.Tensor, windows: Windows) -> torch.Tensor:
    """The volume, with its border voxels repeated where windows are larger."""
    if not any(map(any, windows.padding)):
        return volume
    pads = [count for axis in reversed(windows.padding) for count in axis]
    return torch.nn.functional.pad(volume[None, None], pads, mode="replicate")[0, 0]


def _cut(padded: torch.Tensor, start: Size, roi: Size) -> torch.Tensor:
    """One window, (1, x, y, z)."""
    return padded[tuple(slice(s, s + e) for s, e in zip(start, roi, strict=True))][None]


def _size(volume: torch.Tensor) -> Size:
    x, y, z = volume.shape
    return x, y, z
