"""A CT whose structures are found by a threshold."""

from __future__ import annotations

import numpy as np

from TotalSegmentatorLib.images import Image, corners

SHAPE = (30, 40, 50)
MATRIX = np.array([[0, -2.0, 0, 70], [-2, 0, 0, 90], [0, 0, 2.5, -300], [0, 0, 0, 1]])
REGION = corners((0, 40, 10, 61, -280, -251))


def volume(matrix: np.ndarray = MATRIX, kind: type = np.int16) -> Image:
    """Two bright blocks in soft tissue; the first one is larger than the region."""
    voxels = np.random.default_rng(0).integers(-50, 60, SHAPE).astype(kind)
    voxels[0, :, :5] = -1000
    voxels[5:28, 8:38, 6:44] = 200
    voxels[12:16, 20:28, 20:30] = 400
    return Image(voxels, matrix, "CT")
