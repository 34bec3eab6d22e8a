"""Where nnU-Net places its windows, and how much each voxel of a window counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .plans import Axes

if TYPE_CHECKING:
    import torch

#: Distance of windows as a share of the patch, if nobody asks for another.
STEP = 0.5
# The official package lets the windows of these tasks overlap less.
_WIDE_STEP = 0.8
_WIDE_STEP_TASKS = ("total", "total_v3", "total_mr")
_LARGEST_WEIGHT = 10
_HALF_BYTES = 2
_SIGMA_SHARE = 1 / 8


def step_of(task: str) -> float:
    """Distance of the windows of a task of TotalSegmentator, as a share of the patch."""
    return _WIDE_STEP if task in _WIDE_STEP_TASKS else STEP


def window_starts(shape: Sequence[int], patch: Axes, step: float) -> list[list[int]]:
    """First voxels of the windows along each axis (z, y, x).

    They are spread evenly, at most ``step`` patches apart.

    :param shape: of the padded image: nowhere smaller than the patch.
    """
    starts = []
    for size, edge in zip(shape, patch, strict=True):
        count = window_count(size, edge, step)
        gap = (size - edge) / (count - 1) if count > 1 else 0.0
        starts.append([int(np.round(gap * number)) for number in range(count)])
    return starts


def window_count(size: int, edge: int, step: float) -> int:
    """How many windows of an edge cover an axis, which they may exceed.

    :param step: largest distance of windows as a share of the edge.
    """
    return max(0, math.ceil((size - edge) / (edge * step))) + 1


def half_precision_bytes(voxels: int, features: int, classes: int) -> int:
    """The most memory of a GPU that a network needs for a window, beside its weights.

    In half precision, with F features at full resolution and C channels of scores, a window of V
    voxels needs 2 V (4 F + C) bytes: where the last skip connection is joined, both halves and the
    whole are held, and after it the scores.
    """
    return _HALF_BYTES * voxels * (4 * features + classes)


def window_weights(patch: Axes, device: torch.device) -> torch.Tensor:
    """(z, y, x) half: a Gaussian around the window's centre, nowhere 0."""
    import torch  # where windows lie can be told without them
    from scipy.ndimage import gaussian_filter

    peak = np.zeros(patch)
    peak[tuple(edge // 2 for edge in patch)] = 1
    weights = gaussian_filter(
        peak, [edge * _SIGMA_SHARE for edge in patch], 0, mode="constant", cval=0
    )
    weights /= np.max(weights) / _LARGEST_WEIGHT
    half = torch.from_numpy(weights).half().to(device)
    vanished = half == 0
    half[vanished] = half[~vanished].min()
    return half


def padding(shape: Sequence[int], patch: Axes) -> list[tuple[int, int]]:
    """Voxels to add before and after each axis so that a window fits, the odd one after."""
    missing = [max(edge - size, 0) for size, edge in zip(shape, patch, strict=True)]
    return [(n // 2, n - n // 2) for n in missing]
