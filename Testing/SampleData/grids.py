"""Random grids for property tests: rotated, flipped, anisotropic, anywhere."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from TotalSegmentatorLib.images import Image

ANGLES = st.floats(-180, 180)
SPACINGS = st.floats(0.3, 10)
OFFSETS = st.floats(-1500, 1500)


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    """ijk_to_ras of every handedness, without shear."""
    turn = draw(st.tuples(ANGLES, ANGLES, ANGLES))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    matrix[:3, :3] *= draw(st.tuples(SPACINGS, SPACINGS, SPACINGS))
    matrix[:3, 0] *= draw(st.sampled_from((1, -1)))
    matrix[:3, 3] = draw(st.tuples(OFFSETS, OFFSETS, OFFSETS))
    return matrix


@st.composite
def images(draw: st.DrawFn, kind: str = "<i2") -> Image:
    """Small images with random voxels."""
    shape = draw(st.tuples(*[st.integers(3, 6)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    voxels = rng.integers(0, 200, shape).astype(kind)
    return Image(voxels, draw(matrices()))
