"""Random grids for property tests, and structures whose place in the patient is known.

Grids are rotated, flipped, anisotropic, anywhere; on request sheared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from TotalSegmentatorLib.images import Image

ANGLES = st.floats(-180, 180)
SPACINGS = st.floats(0.3, 10)
OFFSETS = st.floats(-1500, 1500)

AIR, TISSUE = -1000, 200


def _axis_orders() -> tuple[np.ndarray, ...]:
    unit = np.eye(3)
    return tuple(
        unit[:, order] * signs
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    )


AXIS_ORDERS = _axis_orders()
"""The 48 matrices (3, 3) of axes along R, A and S in any order and sense."""


@st.composite
def matrices(draw: st.DrawFn, spacings: st.SearchStrategy[float] = SPACINGS) -> np.ndarray:
    """ijk_to_ras of every handedness, without shear."""
    turn = draw(st.tuples(ANGLES, ANGLES, ANGLES))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    matrix[:3, :3] *= draw(st.tuples(spacings, spacings, spacings))
    matrix[:3, 0] *= draw(st.sampled_from((1, -1)))
    matrix[:3, 3] = draw(st.tuples(OFFSETS, OFFSETS, OFFSETS))
    return matrix


@st.composite
def sheared_matrices(draw: st.DrawFn) -> np.ndarray:
    """ijk_to_ras of a gantry tilted by 1 to 30 degrees, or of a hardened affine transform."""
    matrix = draw(matrices(st.floats(0.6, 2.4)))
    axes = draw(st.permutations(range(3)))
    senses = draw(st.tuples(*[st.sampled_from((1, -1))] * 3))
    if draw(st.booleans()):
        return tilted(matrix, senses[0] * draw(st.floats(1, 30)), axes[0], axes[1])
    for sense, (n, m) in zip(senses, ((0, 1), (0, 2), (1, 2)), strict=True):
        matrix = tilted(matrix, sense * draw(st.floats(1, 12)), axes[n], axes[m])
    return matrix


def tilted(matrix: np.ndarray, degrees: float, axis: int = 2, towards: int = 1) -> np.ndarray:
    """A matrix (4, 4) with one axis leant towards another; planes across it stay as far apart.

    A gantry tilt moves slices, which lie along k, against each other along j.
    """
    result = matrix.copy()
    length = np.linalg.norm(matrix[:3, axis]) / np.linalg.norm(matrix[:3, towards])
    result[:3, axis] += np.tan(np.radians(degrees)) * length * matrix[:3, towards]
    return result


@st.composite
def images(draw: st.DrawFn, kind: str = "<i2") -> Image:
    """Small images with random voxels."""
    shape = draw(st.tuples(*[st.integers(3, 6)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    voxels = rng.integers(0, 200, shape).astype(kind)
    return Image(voxels, draw(matrices()))


def places(matrix: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """RAS mm of all voxels of an array (K, J, I): (3, K, J, I)."""
    k, j, i = np.indices(shape)
    return np.einsum("rc,ckji->rkji", matrix, np.stack([i, j, k, np.ones_like(i)]))[:3]


@dataclass(frozen=True)
class Ellipsoid:
    """A structure that exists without any grid.

    :param center: (3,) mm RAS.
    :param form: (3, 3); a place p is inside if (p - center) form (p - center) is at most 1.
    """

    center: np.ndarray
    form: np.ndarray

    @property
    def volume_ml(self) -> float:
        return float(4 / 3 * np.pi / np.sqrt(np.linalg.det(self.form))) / 1000

    def scaled(self, factor: float) -> Ellipsoid:
        return Ellipsoid(self.center, self.form / factor**2)

    def inside(self, at: np.ndarray) -> np.ndarray:
        """Truth for places (3, ...) in mm RAS."""
        away = at - self.center.reshape(3, *[1] * (at.ndim - 1))
        return np.einsum("r...,rs,s...->...", away, self.form, away) <= 1


def anatomy(matrix: np.ndarray, shape: Sequence[int]) -> dict[str, Ellipsoid]:
    """A liver off the centre and a pair of kidneys that differ by nothing but their side.

    They fill a grid of that matrix and shape (K, J, I; 16 voxels or more each way), without
    touching.
    """
    size = np.array(shape[::-1])
    # The kidneys are apart along the axis that leads furthest to the right.
    aside = int(np.argmax(np.abs(matrix[0, :3] * size)))
    axes = [aside, (aside + 1) % 3, (aside + 2) % 3]

    def ellipsoid(center: tuple[float, ...], radii: tuple[float, ...]) -> Ellipsoid:
        middle, lengths = np.ones(4), np.empty(3)
        middle[axes] = np.array(center) * (size[axes] - 1)
        lengths[axes] = np.array(radii) * size[axes]
        to_unit = np.linalg.inv(matrix[:3, :3] * lengths)
        return Ellipsoid((matrix @ middle)[:3], to_unit.T @ to_unit)

    kidneys = [ellipsoid((at, 0.77, 0.7), (0.16, 0.14, 0.17)) for at in (0.24, 0.76)]
    left, right = sorted(kidneys, key=lambda kidney: float(kidney.center[0]))
    return {
        "liver": ellipsoid((0.4, 0.3, 0.42), (0.26, 0.2, 0.28)),
        "kidney_right": right,
        "kidney_left": left,
    }


def anatomy_ct(matrix: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Voxels int16 (K, J, I) of :func:`anatomy`: tissue of one value in air."""
    at = places(matrix, shape)
    inside = [structure.inside(at) for structure in anatomy(matrix, shape).values()]
    return np.where(np.any(inside, axis=0), TISSUE, AIR).astype(np.int16)
