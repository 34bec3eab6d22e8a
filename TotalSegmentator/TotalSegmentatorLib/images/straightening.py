"""Sheared images on a straight grid, for networks, and labels back on the grid they belong to.

Scanners with a tilted gantry, and hardened affine transforms, leave axes that are not
perpendicular. Networks and most libraries know only perpendicular ones, so the engine gets a
resampled image; its labels go back to the voxels that were there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .geometry import straight_grid
from .image import Image

_AIR_HU = -1024


def straighten(image: Image) -> Image:
    """A sheared image on the straight grid around it, by linear interpolation.

    What lies outside of the image becomes air: -1024 HU in CT; else the lowest value, but not less
    than -1024, since some scanners mark their field of view with values far below air. Takes the
    memory of its result, which is rounded if it is of integers.

    :param image: int16 or float32, as :func:`~.reading.read_image` gives it; checked by
        :func:`~.geometry.check_geometry`.
    :return: an image of the same type and modality on the grid of :func:`~.geometry.straight_grid`.
    """
    ijk_to_ras, shape = straight_grid(image.ijk_to_ras, image.array.shape)
    outside = _AIR_HU if image.modality == "CT" else max(_AIR_HU, image.array.min())
    array = _sampled(image, ijk_to_ras, shape, order=1, outside=float(outside))
    return replace(image, array=array, ijk_to_ras=ijk_to_ras)


def labels_on_grid(labels: Image, grid: Image) -> Image:
    """A labelmap on another grid: each voxel gets the label whose voxel it lies in.

    Places are compared by matrices, so the grids may differ in everything: axis order, spacing,
    shear, extent. Where both grids have a voxel, its label is the same; a voxel outside of the
    labelmap becomes background. Nothing is mixed between labels.

    :param labels: integer voxels, 0 is background.
    :param grid: where the labels are wanted; its voxels do not matter.
    :return: labels of the same type with the shape and matrix of *grid*.
    """
    array = _sampled(labels, grid.ijk_to_ras, grid.array.shape, order=0, outside=0.0)
    return Image(array, grid.ijk_to_ras)


def _sampled(
    image: Image, ijk_to_ras: np.ndarray, shape: tuple[int, ...], order: int, outside: float
) -> np.ndarray:
    """The values of an image at the voxels of a grid, shape (K, J, I)."""
    from scipy import ndimage  # takes a third of a second, and few images are sheared

    to_image = np.linalg.inv(image.ijk_to_ras) @ ijk_to_ras
    return ndimage.affine_transform(
        image.array,
        to_image[2::-1, 2::-1],  # arrays are indexed k, j, i
        to_image[2::-1, 3],
        output_shape=shape,
        output=image.array.dtype,
        order=order,
        # 'constant' would drop the outermost voxels where rounding puts them at -1e-13.
        mode="grid-constant",
        cval=outside,
    )
