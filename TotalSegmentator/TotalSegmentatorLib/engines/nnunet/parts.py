"""Large images in three parts along the body, as the official package cuts them."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Larger images of tasks with several models are cut.
_ABOVE_VOXELS = 512 * 512 * 900
_ABOVE_SLICES = 200
_MARGIN = 20


def is_split(shape: Sequence[int], several: bool, forced: bool) -> bool:
    """Whether a volume is predicted in three parts.

    :param shape: of the volume (x, y, z).
    :param several: whether the task has several models.
    :param forced: whether it was asked for.
    """
    large = math.prod(shape) > _ABOVE_VOXELS and shape[2] > _ABOVE_SLICES
    third = shape[2] // 3
    # The official package fails where the margins do not fit into the parts.
    fits = third >= _MARGIN - 1 and 2 * third + _MARGIN <= shape[2]
    return fits and (forced or (large and several))


def three_parts(height: int) -> tuple[tuple[slice, slice], ...]:
    """For each part the slices that are predicted, and those of them that are kept."""
    third = height // 3
    return (
        (slice(0, third + _MARGIN), slice(0, third)),
        (slice(third + 1 - _MARGIN, third * 2 + _MARGIN), slice(third, third * 2)),
        (slice(third * 2 + 1 - _MARGIN, height), slice(third * 2, height)),
    )
