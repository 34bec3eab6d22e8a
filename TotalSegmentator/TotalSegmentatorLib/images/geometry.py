"""Where voxels lie: matrices, their checks, and the one place that speaks LPS.

The house speaks RAS (x to the right, y to the front, z to the head; mm) as MRML and NIfTI do.
SimpleITK and DICOM speak LPS; both differ by the sign of x and y only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .image import Image, Notice

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

MIN_SPACING_MM = 0.01
"""Below this, resampling to the network's 1.5 mm or so would explode memory."""
MAX_SPACING_MM = 50.0
COARSE_SPACING_MM = 5.0
"""Above this an image is accepted with a notice: thin structures fall between the slices."""
MAX_EXTENT_MM = 3000.0
"""Longer than any patient or table."""
MIN_VOXELS = 3
MAX_COSINE = 1e-3
"""Two axes are perpendicular if the cosine between them is below this.

It moves a voxel at the far end of a 500 mm axis by 0.5 mm, less than a voxel. Rounding in headers
stays far below it (float32 1e-6, DICOM decimal strings 1e-5); the smallest gantry tilt, 0.5
degrees, is nine times above it.
"""
MAX_TILT_DEGREES = 45.0
"""Gantries tilt by 30 degrees at most; what lies above comes from no scanner."""
MAX_STRAIGHT_GROWTH = 4.0
"""How many times more voxels a straight grid may need than the sheared one that it covers."""
_MIN_DETERMINANT = 1e-6
_PART_OF_A_VOXEL = 1e-3


def ijk_to_ras_from_itk(
    origin: Sequence[float], spacing: Sequence[float], direction: Sequence[float]
) -> np.ndarray:
    """From SimpleITK's geometry to ours.

    :param origin: 3 numbers, LPS mm; *spacing*: 3 numbers, mm; *direction*: 9 numbers, row by row.
    :return: (4, 4), voxel indices (i, j, k, 1) to mm RAS.
    """
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(direction, (3, 3)) * np.asarray(spacing, dtype=np.float64)
    ijk_to_lps[:3, 3] = origin
    return _LPS_TO_RAS @ ijk_to_lps


def itk_from_ijk_to_ras(
    ijk_to_ras: np.ndarray,
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """The inverse of :func:`ijk_to_ras_from_itk`: (origin, spacing, direction) in LPS."""
    ijk_to_lps = _LPS_TO_RAS @ ijk_to_ras
    spacing = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    direction = ijk_to_lps[:3, :3] / spacing
    return (
        tuple(ijk_to_lps[:3, 3].tolist()),
        tuple(spacing.tolist()),
        tuple(direction.ravel().tolist()),
    )


def is_sheared(ijk_to_ras: np.ndarray, max_cosine: float = MAX_COSINE) -> bool:
    """Whether two axes of the grid are not perpendicular (gantry tilt, a hardened affine).

    :param ijk_to_ras: (4, 4), finite and regular.
    """
    axes = ijk_to_ras[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    cosines = axes.T @ axes - np.eye(3)
    return bool(np.abs(cosines).max() > max_cosine)


def tilt_degrees(ijk_to_ras: np.ndarray) -> float:
    """The largest angle between an axis and the normal to the other two; 0 on a straight grid.

    :param ijk_to_ras: (4, 4), finite and regular.
    """
    axes = ijk_to_ras[:3, :3]
    # A row of the inverse is normal to the other two axes, and its product with its own is 1.
    normals = np.linalg.inv(axes)
    cosines = 1.0 / (np.linalg.norm(axes, axis=0) * np.linalg.norm(normals, axis=1))
    return float(np.degrees(np.arccos(cosines.clip(max=1.0).min())))


def straight_grid(
    ijk_to_ras: np.ndarray, shape: Sequence[int]
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The grid with perpendicular axes that covers all voxels of a sheared one.

    The axis with the finest spacing keeps its direction, the second is turned within the plane of
    both, and the coarsest one stands on that plane (Gram-Schmidt). For a tilted gantry these are
    the slices as they are: they stay where they were and are only shifted in their own plane, so
    nothing is mixed between slices. A voxel has the same volume as before.

    :param ijk_to_ras: (4, 4), mm RAS, regular.
    :param shape: (K, J, I).
    :return: ijk_to_ras and shape (K, J, I) of the straight grid; axes point as they did, and voxel
        0 of the sheared grid is the place of a voxel of the straight one.
    """
    axes = ijk_to_ras[:3, :3]
    order = np.argsort(np.linalg.norm(axes, axis=0), kind="stable")
    directions, parts = np.linalg.qr(axes[:, order])
    straight = np.eye(4)
    straight[:3, order] = directions * np.diag(parts)
    steps = np.linalg.inv(straight[:3, :3]) @ axes * (np.array(shape[::-1]) - 1)
    first = np.floor(np.minimum(steps, 0).sum(axis=1) + _PART_OF_A_VOXEL)
    last = np.ceil(np.maximum(steps, 0).sum(axis=1) - _PART_OF_A_VOXEL)
    straight[:3, 3] = ijk_to_ras[:3, 3] + straight[:3, :3] @ first
    ni, nj, nk = (int(n) for n in last - first + 1)
    return straight, (nk, nj, ni)


def largest_distance_mm(a: np.ndarray, b: np.ndarray, shape: Sequence[int]) -> float:
    """How far two matrices put the same voxel apart, at the corner of the grid where it is worst.

    :param a, b: (4, 4) ijk_to_ras.
    :param shape: (K, J, I).
    """
    nk, nj, ni = shape
    ends = [(0, ni - 1), (0, nj - 1), (0, nk - 1)]
    corners = np.stack([*np.meshgrid(*ends), np.ones((2, 2, 2))]).reshape(4, -1)
    return float(np.linalg.norm(((a - b) @ corners)[:3], axis=0).max())


def same_grid(a: Image, b: Image, tolerance_mm: float = 1e-3) -> bool:
    """Whether voxels with the same index lie at the same place in both images.

    The default tolerance lets float32 headers pass (NIfTI: 3e-5 mm at 500 mm).
    """
    if a.array.shape != b.array.shape:
        return False
    return largest_distance_mm(a.ijk_to_ras, b.ijk_to_ras, a.array.shape) <= tolerance_mm


def check_matrix(ijk_to_ras: np.ndarray, name: str = "The image") -> None:
    """Refuse a matrix that maps voxels to no place or many of them to one place.

    :raises InputError: ``input.bad_geometry``.
    """
    remedy = "Export the image again from its source, or correct its header."
    if not np.isfinite(ijk_to_ras).all():
        raise InputError(
            "input.bad_geometry", f"{name} has a position that is not a number.", remedy
        )
    axes = ijk_to_ras[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    regular = lengths.min() > 0 and abs(np.linalg.det(axes / lengths)) > _MIN_DETERMINANT
    if not regular or not np.array_equal(ijk_to_ras[3], [0, 0, 0, 1]):
        raise InputError(
            "input.bad_geometry", f"{name} has axes that do not span a volume.", remedy
        )


def check_geometry(
    ijk_to_ras: np.ndarray, shape: Sequence[int], name: str = "The image"
) -> tuple[Notice, ...]:
    """Refuse a grid that no network can work on, before its voxels are read.

    :param ijk_to_ras: (4, 4), mm RAS.
    :param shape: (K, J, I).
    :param name: the file's or node's name for the messages.
    :return: notices: ``input.coarse`` if voxels are longer than 5 mm, ``input.straightened`` if
        axes are not perpendicular (see :func:`~.straightening.straighten`).
    :raises InputError: ``input.bad_geometry`` (not a number, singular, spacing outside of 0.01 to
        50 mm, longer than 3 m, tilted by more than 45 degrees), ``input.too_small``.
    """
    check_matrix(ijk_to_ras, name)
    size = tuple(reversed([int(n) for n in shape]))
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    _check_spacing(spacing, size, name)
    _check_size(size, name)
    return (*_coarse_notice(ijk_to_ras, name), *_tilt_notice(ijk_to_ras, size, name))


def _check_spacing(spacing: np.ndarray, size: tuple[int, ...], name: str) -> None:
    text = " x ".join(f"{value:.4g}" for value in spacing)
    remedy = "Correct the spacing in its header; it is in millimetres."
    if spacing.min() < MIN_SPACING_MM or spacing.max() > MAX_SPACING_MM:
        raise InputError(
            "input.bad_geometry",
            f"{name} has a voxel spacing of {text} mm, which no scanner makes.",
            remedy,
        )
    extent = float((spacing * size).max())
    if extent > MAX_EXTENT_MM:
        raise InputError(
            "input.bad_geometry", f"{name} is {extent / 1000:.1f} m long by its header.", remedy
        )


def _check_size(size: tuple[int, ...], name: str) -> None:
    if min(size) < MIN_VOXELS:
        text = " x ".join(str(n) for n in size)
        raise InputError(
            "input.too_small",
            f"{name} has {text} voxels; at least {MIN_VOXELS} are needed in each direction.",
            "Choose the whole volume, not single slices.",
        )


def _coarse_notice(ijk_to_ras: np.ndarray, name: str) -> tuple[Notice, ...]:
    # Tilted slices are nearer to each other than their voxels are along the tilted axis.
    largest = float((1.0 / np.linalg.norm(np.linalg.inv(ijk_to_ras[:3, :3]), axis=1)).max())
    if largest <= COARSE_SPACING_MM:
        return ()
    return (
        Notice(
            "input.coarse",
            f"{name} has slices {largest:.4g} mm apart; small structures may be missed.",
        ),
    )


def _tilt_notice(ijk_to_ras: np.ndarray, size: tuple[int, ...], name: str) -> tuple[Notice, ...]:
    if not is_sheared(ijk_to_ras):
        return ()
    degrees = tilt_degrees(ijk_to_ras)
    remedy = "Resample it to a grid with perpendicular axes, or correct its header."
    if degrees > MAX_TILT_DEGREES:
        raise InputError(
            "input.bad_geometry",
            f"{name} has axes that are {degrees:.3g} degrees off perpendicular, "
            "which no gantry tilt explains.",
            remedy,
        )
    _, straight = straight_grid(ijk_to_ras, size[::-1])
    growth = float(np.prod(straight, dtype=np.float64) / np.prod(size, dtype=np.float64))
    if growth > MAX_STRAIGHT_GROWTH:
        raise InputError(
            "input.bad_geometry",
            f"{name} is tilted by {degrees:.3g} degrees; a straight grid around it has "
            f"{growth:.1f} times as many voxels.",
            remedy,
        )
    return (
        Notice(
            "input.straightened",
            f"{name} is tilted by {degrees:.3g} degrees; it is resampled for the segmentation.",
        ),
    )
