"""Small synthetic CT volumes: ellipsoids of known place, size and HU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from TotalSegmentatorLib.images import Image

AIR_HU = -1000


@dataclass(frozen=True)
class Ellipsoid:
    """One organ of a phantom.

    :param name: the structure's id in the catalogue; empty for the body around the organs.
    :param center, radii: fractions of the volume's extent along x, y, z (RAS).
    """

    name: str
    hu: int
    center: tuple[float, float, float]
    radii: tuple[float, float, float]


TORSO = (
    Ellipsoid("", 20, (0.5, 0.5, 0.5), (0.45, 0.38, 0.6)),
    Ellipsoid("liver", 110, (0.66, 0.52, 0.45), (0.16, 0.2, 0.2)),
    Ellipsoid("spleen", 120, (0.22, 0.45, 0.5), (0.09, 0.13, 0.16)),
    Ellipsoid("vertebrae_L1", 400, (0.5, 0.26, 0.5), (0.08, 0.08, 0.3)),
)
"""The body, then its organs; later ones lie over earlier ones. Label n is the n-th organ."""


def torso_ct(
    shape: tuple[int, int, int] = (24, 32, 40),
    spacing: tuple[float, float, float] = (3.0, 3.0, 4.0),
    noise_hu: float = 10.0,
) -> Image:
    """A torso as int16 HU.

    :param shape: (K, J, I).
    :param spacing: mm along i, j, k; the axes point to R, A and S.
    """
    array = np.full(shape, float(AIR_HU))
    for ellipsoid in TORSO:
        array[_inside(ellipsoid, shape)] = ellipsoid.hu
    array += np.random.default_rng(0).normal(0.0, noise_hu, shape)
    return Image(np.rint(array).astype(np.int16), _matrix(shape, spacing))


def torso_labels(
    shape: tuple[int, int, int] = (24, 32, 40),
    spacing: tuple[float, float, float] = (3.0, 3.0, 4.0),
) -> tuple[Image, dict[int, str]]:
    """The true labels (uint8) of :func:`torso_ct` and their names."""
    array = np.zeros(shape, np.uint8)
    organs = [ellipsoid for ellipsoid in TORSO if ellipsoid.name]
    for label, organ in enumerate(organs, 1):
        array[_inside(organ, shape)] = label
    names = {label: organ.name for label, organ in enumerate(organs, 1)}
    return Image(array, _matrix(shape, spacing)), names


def _inside(ellipsoid: Ellipsoid, shape: tuple[int, int, int]) -> np.ndarray:
    z, y, x = ((np.arange(n) + 0.5) / n for n in shape)
    (cx, cy, cz), (rx, ry, rz) = ellipsoid.center, ellipsoid.radii
    squares = (
        ((x - cx) / rx)[None, None, :] ** 2
        + ((y - cy) / ry)[None, :, None] ** 2
        + ((z - cz) / rz)[:, None, None] ** 2
    )
    return squares <= 1.0


def _matrix(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
    """The volume's centre at the origin of RAS."""
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -0.5 * (np.array(shape[::-1]) - 1) * spacing
    return matrix
