"""Images as the official package handles them: index order (i, j, k), axes turned to RAS.

Rounding depends on the order of the axes and on where a value passes through a NIfTI header, so
that order and those places are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...images import Image

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Volume:
    """An image in the engine.

    :param array: voxels (I, J, K); any dtype, usually a view of a (K, J, I) array. A resampled one
        that stays on a GPU is a tensor.
    :param affine: (4, 4) float64, voxel indices to mm RAS.
    """

    array: np.ndarray
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Spacing along i, j and k in mm, (3,) float32: a NIfTI header has no more digits."""
        return np.sqrt(np.sum(self.affine[:3, :3] ** 2, axis=0)).astype(np.float32)

    def cropped(self, box: Box) -> Volume:
        """The part in a box; whole numbers, as the official package cuts fractions off here."""
        affine = self.affine.copy()
        corner = [axis.start for axis in box]
        affine[:3, 3] = (self.affine @ [*corner, 1])[:3]
        return Volume(self.array[box].astype(np.int32), affine)

    def stored(self) -> Volume:
        """The same with a matrix as it comes back from a NIfTI file."""
        return Volume(self.array, self.affine.astype(np.float32).astype(np.float64))


def volume_of(image: Image) -> Volume:
    """The volume of an image; voxels are not copied."""
    return Volume(image.array.T, np.array(image.ijk_to_ras))


def ras_axes(affine: np.ndarray) -> list[tuple[int, int]]:
    """For i, j and k: the RAS axis (0 to 2) that it runs along most, and 1 or -1 for its direction.

    The convention of nibabel's ``io_orientation``: shear is taken out first (polar decomposition),
    and the axis of the voxels that is clearest is assigned first.
    """
    directions = affine[:3, :3] / np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0))
    left, _, right = np.linalg.svd(directions)
    rotation = left @ right
    axes = [(0, 0)] * 3
    for axis in np.argsort(np.min(-(rotation**2), axis=0), kind="stable"):
        column = rotation[:, axis]
        nearest = int(np.argmax(np.abs(column)))
        axes[axis] = (nearest, 1 if column[nearest] > 0 else -1)
        rotation[nearest] = 0
    return axes


def to_ras(volume: Volume) -> Volume:
    """With axes and directions as close to RAS as permuting and flipping can bring them."""
    axes = ras_axes(volume.affine)
    order = np.argsort([axis for axis, _ in axes])
    flips = tuple(slice(None, None, direction) for _, direction in axes)
    # Voxel indices after the turn to those before it.
    back = np.eye(4)[:, [*order, 3]]
    for axis, (_, direction) in enumerate(axes):
        if direction < 0:
            back[axis] *= -1
            back[axis, 3] = volume.array.shape[axis] - 1
    return Volume(volume.array[flips].transpose(order), volume.affine @ back)


def from_ras(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Undo :func:`to_ras` for an array (I, J, K).

    :param affine: of the volume that was turned.
    """
    axes = ras_axes(affine)
    flips = tuple(slice(None, None, direction) for _, direction in axes)
    return array.transpose([axis for axis, _ in axes])[flips]


def box_around(mask: np.ndarray, margin: Sequence[int] = (0, 0, 0)) -> Box | None:
    """The smallest box that holds a mask, and so many voxels more; None if the mask is empty.

    :param mask: of any type; a tensor may stay on its device.
    """
    box = []
    for axis, more in enumerate(margin):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(mask.any(axis=others).tolist())
        if not found.size:
            return None
        start, stop = int(found[0]) - more, int(found[-1]) + 1 + more
        box.append(slice(max(0, start), min(mask.shape[axis], stop)))
    return tuple(box)


def margin_voxels(margin_mm: Sequence[float], spacing: np.ndarray) -> tuple[int, int, int]:
    """A margin in whole voxels, rounded down.

    :param spacing: (3,) float32 in mm.
    """
    i, j, k = (np.array(margin_mm) / spacing).astype(int)
    return int(i), int(j), int(k)
