"""The fingerprint names the voxels, not the file, the header or the order of axes."""

from __future__ import annotations

import hashlib
import struct
from itertools import permutations, product

import numpy as np
import pytest

from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.images.fingerprint import fingerprint, to_canonical

VOXELS = np.random.default_rng(1).integers(-1024, 3000, size=(3, 4, 5)).astype(np.int16)
RAS = np.diag([1.5, 2.0, 3.0, 1.0])


def turned(order: tuple[int, ...], flips: tuple[bool, ...]) -> Image:
    """The image RAS/VOXELS with its voxel axes (i, j, k) permuted and flipped, in place."""
    source = VOXELS.transpose(2, 1, 0)
    voxels = source.transpose(order)
    matrix = np.eye(4)
    matrix[:3, :3] = RAS[:3, order]
    for axis, flipped in enumerate(flips):
        if flipped:
            matrix[:3, 3] += matrix[:3, axis] * (voxels.shape[axis] - 1)
            matrix[:3, axis] *= -1
    voxels = voxels[tuple(slice(None, None, -1 if flipped else 1) for flipped in flips)]
    return Image(voxels.transpose(2, 1, 0), matrix)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
def test_axis_order_does_not_matter(order: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    image = turned(order, flips)
    assert np.array_equal(to_canonical(image), VOXELS)
    assert fingerprint(image) == fingerprint(Image(VOXELS, RAS))


@pytest.mark.parametrize("kind", [np.int32, np.float32, np.float64, ">i2"])
def test_voxel_type_does_not_matter(kind: str | type) -> None:
    assert fingerprint(Image(VOXELS.astype(kind), RAS)) == fingerprint(Image(VOXELS, RAS))


def test_position_and_a_small_rotation_do_not_matter() -> None:
    angle = np.radians(10)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    rotation[:3, 3] = (10, -20, 30)
    assert fingerprint(Image(VOXELS, rotation @ RAS)) == fingerprint(Image(VOXELS, RAS))


def test_one_voxel_matters() -> None:
    other = VOXELS.copy()
    other[1, 2, 3] += 1
    assert fingerprint(Image(other, RAS)) != fingerprint(Image(VOXELS, RAS))


def test_the_shape_matters() -> None:
    other = VOXELS.reshape(3, 5, 4)
    assert fingerprint(Image(other, RAS)) != fingerprint(Image(VOXELS, RAS))


def test_values_beyond_int16_are_clipped_and_never_wrap() -> None:
    big = Image(np.full((2, 2, 2), 70000, dtype=np.int32), RAS)
    limit = Image(np.full((2, 2, 2), 32767, dtype=np.int16), RAS)
    assert fingerprint(big) == fingerprint(limit)


def test_the_value_is_the_one_of_the_documented_recipe() -> None:
    image = Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    expected = hashlib.sha256(b"(2, 3, 4)" + struct.pack("<24h", *range(24))).hexdigest()
    assert fingerprint(image) == expected
