"""A region of an image: the box of voxels that holds some points, cut out and put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from ..errors import InputError
from .geometry import MIN_VOXELS, same_grid
from .image import Image

MIN_REGION_MM = 10.0
"""Below this the coarsest networks (6 mm) would see a single voxel along an axis."""
_ROUNDING = 1e-3  # of a voxel: what it touches by less, a region does not touch

Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]
"""Voxels of an array (K, J, I): where they begin and end along k, j and i."""


def corners(bounds: Sequence[float]) -> tuple[Point, ...]:
    """The eight corners of a box along the axes of the patient.

    :param bounds: (x0, x1, y0, y1, z0, z1) in mm RAS.
    """
    x0, x1, y0, y1, z0, z1 = (float(bound) for bound in bounds)
    return tuple(product((x0, x1), (y0, y1), (z0, z1)))


def voxel_box(image: Image, points: Sequence[Point]) -> Box:
    """The smallest box of an image's voxels that holds all points, as far as they lie in it.

    A voxel reaches half a voxel around its centre, and belongs to the box if the points do. On an
    oblique image the box lies along the image's axes, so it may hold more than a box of the same
    points in space.

    :param points: finite, mm RAS; none: all voxels.
    :raises InputError: ``input.region_outside`` if the box and the image have nothing in common,
        ``input.region_too_small`` if they have fewer than :data:`MIN_VOXELS` voxels or less than
        :data:`MIN_REGION_MM` along an axis that is not in it from end to end.
    """
    size = np.array(image.shape_ijk)
    if not points:
        return _box(np.zeros(3), size - 1)
    to_ijk = np.linalg.inv(image.ijk_to_ras)
    places = np.array(points, np.float64) @ to_ijk[:3, :3].T + to_ijk[:3, 3]
    low, high = places.min(axis=0) - 0.5 + _ROUNDING, places.max(axis=0) + 0.5 - _ROUNDING
    first = np.clip(np.floor(low) + 1, 0, size)
    last = np.clip(np.ceil(high) - 1, -1, size - 1)
    if (last < 0).any() or (first >= size).any():
        raise _outside()
    _check_size(image, last - first + 1)
    return _box(first, last)


def crop(image: Image, box: Box) -> Image:
    """The voxels in a box, without copying them, at the place where they were."""
    start = np.eye(4)
    start[:3, 3] = [axis.start for axis in reversed(box)]
    return replace(image, array=image.array[box], ijk_to_ras=image.ijk_to_ras @ start)


def block_on(image: Image, grid: Image, tolerance_mm: float = 1e-3) -> Image | None:
    """The voxels of an image that are those of a grid, without copying them.

    :param grid: such as that of a cropped image; its voxels do not matter.
    :param tolerance_mm: how far a voxel may lie from its place on the grid.
    :return: an image on the grid; None if the image has not all of its voxels.
    """
    first = np.rint(np.linalg.solve(image.ijk_to_ras, grid.ijk_to_ras)[:3, 3])
    last = first + grid.shape_ijk - 1
    if (first < 0).any() or (last >= image.shape_ijk).any():
        return None
    block = crop(image, _box(first, last))
    return block if same_grid(block, grid, tolerance_mm) else None


def paste(labels: Image, grid: Image, box: Box) -> Image:
    """The labels of a cropped image on the grid of the whole one, with background around them.

    :param labels: labelmap on the grid of ``crop(grid, box)``.
    :param grid: where the labels are wanted; its voxels do not matter.
    :return: labels of the same type with the shape and matrix of *grid*.
    :raises ValueError: if the labels do not fill the box.
    """
    array = np.zeros(grid.array.shape, labels.array.dtype)
    if array[box].shape != labels.array.shape:
        raise ValueError(f"shape {labels.array.shape} is not the box's {array[box].shape}")
    array[box] = labels.array
    return Image(array, grid.ijk_to_ras)


def _box(first: np.ndarray, last: np.ndarray) -> Box:
    """From the first and last voxel (i, j, k) to slices along k, j, i."""
    i, j, k = (slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
    return k, j, i


def _check_size(image: Image, voxels: np.ndarray) -> None:
    extent = voxels * image.spacing
    small = (voxels < MIN_VOXELS) | (extent < MIN_REGION_MM)
    if not (small & (voxels < image.shape_ijk)).any():
        return
    mm = " x ".join(f"{length:.3g}" for length in extent.clip(0))
    raise InputError(
        "input.region_too_small",
        f"The region holds {mm} mm of the image.",
        f"Make it at least {MIN_REGION_MM:g} mm and {MIN_VOXELS} voxels large in each direction.",
    )


def _outside() -> InputError:
    return InputError(
        "input.region_outside",
        "The region lies outside of the image.",
        "Move it to where the image is, or segment the whole image.",
    )
