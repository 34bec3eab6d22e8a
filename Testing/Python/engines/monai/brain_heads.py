"""Heads of ellipsoids, which have their intensities and labels at any place: every grid its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from TotalSegmentatorLib.images import Image

EDGE_MM = 1.5  # over which one tissue turns into the next


@dataclass(frozen=True)
class Ellipsoid:
    """A tissue; centre and half axes in mm of the head's own space, RAS."""

    value: float
    label: int
    half_axes: tuple[float, float, float]
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)


# Each lies within those before it. No flip or turn maps the brain onto itself.
SCALP_AND_SKULL = (
    Ellipsoid(400, 0, (92, 112, 95)),
    Ellipsoid(60, 0, (84, 104, 86)),
)
BRAIN = (
    Ellipsoid(600, 1, (70, 88, 64)),
    Ellipsoid(1000, 2, (61, 78, 55), (2, -3, 3)),
    Ellipsoid(800, 3, (44, 56, 46), (-10, 10, -2)),
    Ellipsoid(250, 4, (14, 24, 12), (34, -34, 22)),
    Ellipsoid(650, 5, (12, 12, 18), (26, 34, -10)),
)


def pose(
    angles: tuple[float, float, float] = (0, 0, 0),
    scale: tuple[float, float, float] = (1, 1, 1),
    shift: tuple[float, float, float] = (0, 0, 0),
) -> np.ndarray:
    """(4, 4): from the head's space to mm RAS; angles in degrees about x, y, z."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * scale
    matrix[:3, 3] = shift
    return matrix


def grid(
    spacing: tuple[float, float, float],
    angles: tuple[float, float, float] = (0, 0, 0),
    centre: tuple[float, float, float] = (0, 0, 0),
    axes: tuple[int, int, int] = (0, 1, 2),
    flips: tuple[int, int, int] = (1, 1, 1),
    extent_mm: tuple[float, float, float] = (204, 240, 204),
) -> Image:
    """An image of zeros around a place; its axis n runs along the turned axis ``axes[n]``."""
    turned = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing * flips
    matrix = np.eye(4)
    matrix[:3, :3] = turned[:, axes]
    size = np.ceil(np.array(extent_mm) / spacing).astype(int)[list(axes)]
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((size - 1) / 2)
    return Image(np.zeros(size[::-1], np.float32), matrix)


def places(image: Image, ijk_to_ras: np.ndarray, head: np.ndarray) -> np.ndarray:
    """(3, K, J, I): the voxels of a grid in the head's space.

    :param ijk_to_ras: where its voxels lie.
    :param head: the head's :func:`pose`.
    """
    k, j, i = np.indices(image.array.shape, dtype=np.float64)
    to_head = np.linalg.inv(head) @ ijk_to_ras
    return np.tensordot(to_head[:3, :3], [i, j, k], 1) + to_head[:3, 3].reshape(3, 1, 1, 1)


def _radius(tissue: Ellipsoid, where: np.ndarray) -> np.ndarray:
    """Below 1 within the ellipsoid."""
    centre, half_axes = (
        np.reshape(three, (3, 1, 1, 1)) for three in (tissue.centre, tissue.half_axes)
    )
    return np.sqrt((((where - centre) / half_axes) ** 2).sum(axis=0))


def labels_at(where: np.ndarray) -> np.ndarray:
    """uint8: the innermost label at each place."""
    labels = np.zeros(where.shape[1:], np.uint8)
    for tissue in BRAIN:
        labels[_radius(tissue, where) < 1] = tissue.label
    return labels


def intensities_at(where: np.ndarray, tissues: tuple[Ellipsoid, ...]) -> np.ndarray:
    """float32: the tissues' values with soft edges."""
    values = np.zeros(where.shape[1:], np.float32)
    for tissue in tissues:
        depth = (1 - _radius(tissue, where)) * min(tissue.half_axes)
        share = np.clip(depth / EDGE_MM + 0.5, 0, 1)
        values += share * (tissue.value - values)
    return values


def drawn(
    image: Image, head: np.ndarray, bias: float = 0.0, noise: float = 0.0, skull: bool = True
) -> tuple[Image, Image]:
    """A head on a grid, and its labels.

    :param bias: logarithm of how much brighter it is at its right than in the middle.
    :param noise: standard deviation; without a skull the surroundings of the brain stay 0.
    """
    where = places(image, image.ijk_to_ras, head)
    labels = labels_at(where)
    values = intensities_at(where, (*SCALP_AND_SKULL, *BRAIN) if skull else BRAIN)
    values *= np.exp(bias * where[0] / 70 - bias * (where[1] / 90) ** 2)
    values += np.random.default_rng(7).normal(0, noise, values.shape) if noise else 0
    if not skull:
        values[labels == 0] = 0
    return image.with_array(values.astype(np.float32)), image.with_array(labels)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks, 1 if they are the same."""
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))
