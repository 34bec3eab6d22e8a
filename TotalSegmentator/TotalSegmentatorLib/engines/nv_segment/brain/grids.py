"""Grids for SimpleITK, and where their voxels lie."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ....images import Image
from ....images.geometry import ijk_to_ras_from_itk, itk_from_ijk_to_ras

_CORNERS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))


def to_itk(image: Image) -> sitk.Image:
    """An image for SimpleITK."""
    itk = sitk.GetImageFromArray(image.array)
    origin, spacing, direction = itk_from_ijk_to_ras(image.ijk_to_ras)
    itk.SetOrigin(origin)
    itk.SetSpacing(spacing)
    itk.SetDirection(direction)
    return itk


def from_itk(itk: sitk.Image) -> Image:
    """An image of SimpleITK's."""
    matrix = ijk_to_ras_from_itk(itk.GetOrigin(), itk.GetSpacing(), itk.GetDirection())
    return Image(sitk.GetArrayFromImage(itk), matrix)


def spaced_grid(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """An image of zeros that covers another one along the same axes.

    :param spacing_mm: of all three axes.
    """
    voxels = np.array(image.GetSpacing()) / spacing_mm
    size = np.ceil(image.GetSize() * voxels - 1e-3).astype(int)  # 1e-3: rounding makes no voxel
    # From the image's outer face inwards by half a voxel of the new grid; in voxels of the image.
    first = 0.5 / voxels - 0.5
    grid = sitk.Image(size.tolist(), sitk.sitkUInt8)
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(first.tolist()))
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetDirection(image.GetDirection())
    return grid


def resampled(
    image: sitk.Image,
    grid: sitk.Image,
    transform: sitk.Transform,
    interpolator: int = sitk.sitkLinear,
) -> sitk.Image:
    """An image on another grid, 0 outside of it.

    :param transform: from points of the grid to points of the image.
    """
    return sitk.Resample(image, grid, transform, interpolator, 0.0, image.GetPixelID())


def placed(grid: sitk.Image, transform: sitk.Transform) -> np.ndarray:
    """Where a transform moves the voxels of a grid: (4, 4), voxel indices to mm RAS.

    :param transform: affine.
    """
    points = [transform.TransformPoint(grid.TransformIndexToPhysicalPoint(i)) for i in _CORNERS]
    origin, *ends = np.array(points)
    axes = np.array(ends) - origin
    return ijk_to_ras_from_itk(origin, (1.0, 1.0, 1.0), axes.T.ravel())
