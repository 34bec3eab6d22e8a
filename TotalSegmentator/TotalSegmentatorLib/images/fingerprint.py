"""Recognising an image again, whatever file or node it came from."""

from __future__ import annotations

import hashlib
from itertools import permutations

import numpy as np

from .image import Image

_INT16 = np.iinfo(np.int16)


def to_canonical(image: Image) -> np.ndarray:
    """The voxels (K, J, I) with i, j and k turned towards R, A and S, by swaps and flips only."""
    axes = image.directions
    order = max(
        permutations(range(3)), key=lambda p: sum(abs(axes[row, p[row]]) for row in (0, 1, 2))
    )
    voxels = image.array.transpose(2, 1, 0).transpose(order)
    steps = tuple(slice(None, None, -1 if axes[row, order[row]] < 0 else 1) for row in (0, 1, 2))
    return voxels[steps].transpose(2, 1, 0)


def fingerprint(image: Image) -> str:
    """SHA-256 (hex) of the canonical shape and voxels.

    The recipe: the text ``(K, J, I)`` of :func:`to_canonical`'s shape, then its voxels, rounded
    and clipped to little-endian int16. Position, spacing and voxel type do not count, so an image
    that was moved or saved in another format is still recognised.
    """
    voxels = to_canonical(image)
    digest = hashlib.sha256(str(tuple(int(n) for n in voxels.shape)).encode())
    for plane in voxels:
        whole = np.clip(np.rint(plane.astype(np.float64)), _INT16.min, _INT16.max)
        digest.update(whole.astype("<i2").tobytes())
    return digest.hexdigest()
