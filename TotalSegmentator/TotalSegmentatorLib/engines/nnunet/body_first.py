"""Body first: as much around the body as costs no further window, and nothing beyond."""

from __future__ import annotations

import math

from .geometry import Box, Volume, ras_axes
from .plans import Plans
from .windows import window_count


def roomy_box(volume: Volume, box: Box, plans: Plans, step: float) -> Box | None:
    """The box grown to what its windows can hold; None if the whole volume needs no more windows.

    :param box: around the body, in voxels of the volume.
    :param plans: of the models that will run.
    :param step: distance of windows as a share of the patch.
    """
    grown, saved = [], False
    for axis, (part, (ras_axis, _)) in enumerate(zip(box, ras_axes(volume.affine), strict=True)):
        network_axis = plans.forward.index(2 - ras_axis)  # of z, y and x in the plans' order
        patch, spacing = plans.patch[network_axis], plans.spacing[network_axis]
        factor = float(volume.spacing[axis]) / spacing
        size = volume.array.shape[axis]
        needed = window_count(round((part.stop - part.start) * factor), patch, step)
        saved |= needed < window_count(round(size * factor), patch, step)
        room = math.floor((patch + (needed - 1) * patch * step) / factor)
        while window_count(round(room * factor), patch, step) > needed:
            room -= 1  # it was rounded up to a size that one more window begins with
        grown.append(_grow(part, min(room, size), size))
    i, j, k = grown
    return (i, j, k) if saved else None


def _grow(part: slice, length: int, size: int) -> slice:
    """A part of an axis of ``size`` voxels, grown evenly to a length, and moved inside."""
    start = part.start - max(0, length - (part.stop - part.start)) // 2
    start = max(0, min(start, size - length, part.start))
    return slice(start, max(part.stop, start + length))
