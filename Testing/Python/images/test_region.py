"""Regions: the right voxels, at the place where they were, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from SampleData.grids import matrices, places, sheared_matrices

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import Image, block_on, corners, crop, paste, same_grid, voxel_box

SHAPES = st.tuples(*[st.integers(3, 12)] * 3)
GRIDS = matrices(st.floats(4, 9)) | matrices() | sheared_matrices()
FAR = 1e-3  # of a voxel: what is nearer to a voxel's face may count as touching or not
STRAIGHT = np.diag([-2.0, -2.0, 3.0, 1.0])


@st.composite
def regions(draw: st.DrawFn) -> tuple[Image, np.ndarray]:
    """An image, and places (n, 3) in its voxels' coordinates (i, j, k), in it and around it."""
    shape = draw(SHAPES)
    seed = draw(st.integers(0, 999))
    voxels = np.random.default_rng(seed).integers(0, 300, shape).astype(np.uint16)
    image = Image(voxels, draw(GRIDS))
    shares = draw(st.lists(st.tuples(*[st.floats(-0.3, 1.3)] * 3), min_size=2, max_size=8))
    return image, np.array(shares) * image.shape_ijk - 0.5


def to_ras(image: Image, ijk: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    ras = ijk @ image.ijk_to_ras[:3, :3].T + image.ijk_to_ras[:3, 3]
    return tuple(map(tuple, ras.tolist()))


def box_of(image: Image, ijk: np.ndarray):
    """The box, or None if the region is refused."""
    try:
        return voxel_box(image, to_ras(image, ijk))
    except InputError as error:
        assert error.code in ("input.region_outside", "input.region_too_small")
        return None


@given(regions())
def test_box_holds_every_voxel_that_the_region_touches_and_no_other(region):
    image, ijk = region
    box = box_of(image, ijk)
    if box is None:
        return
    for axis, size, inside in zip(ijk.T, image.shape_ijk, reversed(box), strict=True):
        for voxel in range(size):
            depth = min(axis.max() - (voxel - 0.5), (voxel + 0.5) - axis.min())
            if abs(depth) > 2 * FAR:
                assert (depth > 0) == (inside.start <= voxel < inside.stop)


@given(regions())
def test_points_of_the_region_are_in_the_cropped_volume(region):
    image, ijk = region
    box = box_of(image, ijk)
    if box is None:
        return
    cropped = crop(image, box)
    in_image = ((ijk >= -0.5) & (ijk <= np.array(image.shape_ijk) - 0.5)).all(axis=1)
    points = np.array(to_ras(image, ijk))[in_image]
    back = np.linalg.inv(cropped.ijk_to_ras)
    index = points @ back[:3, :3].T + back[:3, 3]
    assert (index >= -0.5 - 2 * FAR).all()
    assert (index <= np.array(cropped.shape_ijk) - 0.5 + 2 * FAR).all()


@given(regions())
def test_voxels_stay_where_they_were_and_come_back(region):
    image, ijk = region
    box = box_of(image, ijk)
    if box is None:
        return
    cropped = crop(image, box)
    assert np.shares_memory(cropped.array, image.array)
    everywhere = places(image.ijk_to_ras, image.array.shape)
    there = places(cropped.ijk_to_ras, cropped.array.shape)
    np.testing.assert_allclose(there, everywhere[(slice(None), *box)], atol=1e-6)
    pasted = paste(cropped, image, box)
    assert same_grid(pasted, image) and pasted.array.dtype == image.array.dtype
    outside = np.ones(image.array.shape, bool)
    outside[box] = False
    assert (pasted.array[outside] == 0).all()
    assert np.array_equal(pasted.array[~outside], image.array[~outside])


@given(regions())
def test_the_voxels_of_a_crop_are_found_again(region):
    """Also if the header was rounded; and none are made up."""
    image, ijk = region
    box = box_of(image, ijk)
    if box is None:
        return
    cropped, tolerance = crop(image, box), min(image.spacing) / 10
    rounded = Image(image.array, image.ijk_to_ras.astype(np.float32).astype(np.float64))
    found = block_on(rounded, cropped, tolerance)
    assert found is not None
    assert np.array_equal(found.array, cropped.array)
    assert np.shares_memory(found.array, image.array)
    half = np.eye(4)
    half[:3, 3] = 0.4
    assert block_on(Image(image.array, image.ijk_to_ras @ half), cropped, tolerance) is None
    if cropped.array.shape != image.array.shape:
        assert block_on(cropped, image, tolerance) is None


def test_without_points_the_whole_image_is_taken():
    image = Image(np.zeros((4, 5, 6), np.int16), STRAIGHT)
    assert voxel_box(image, ()) == (slice(0, 4), slice(0, 5), slice(0, 6))


@given(matrices(st.floats(4, 9)), st.data())
def test_a_region_along_faces_of_voxels_takes_in_none_beyond_them(matrix, data):
    """Whatever the rounding of its corners."""
    image = Image(np.zeros((9, 9, 9), np.int16), matrix)
    firsts = data.draw(st.tuples(*[st.integers(0, 5)] * 3))
    ends = [data.draw(st.integers(first + 3, 9)) for first in firsts]
    ijk = np.array([firsts, ends]) - 0.5
    noise = data.draw(st.floats(-1e-4, 1e-4))
    box = voxel_box(image, to_ras(image, ijk + np.array([[-noise], [noise]])))
    assert box == tuple(map(slice, firsts, ends))[::-1]


def test_all_corners_of_an_oblique_box_count():
    turned = np.eye(4)
    turned[:2, :2] = np.array([[1, -1], [1, 1]]) * np.sqrt(0.5)
    image = Image(np.zeros((40, 60, 60), np.int16), turned)
    box = voxel_box(image, corners((-10, 10, 20, 40, 10, 30)))
    assert box == (slice(10, 31), slice(7, 36), slice(7, 36))  # 20 mm are 28 along the diagonal


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        ((-500, -300, -30, 0, 0, 30), "input.region_outside"),
        ((1, 40, -40, 0, 0, 30), "input.region_outside"),  # one voxel's half beyond the border
        ((-40, 0, -40, 0, 400, 1e12), "input.region_outside"),
        ((-0.5, 40, -40, 0, 0, 30), "input.region_too_small"),
        ((-20, -13, -40, 0, 0, 30), "input.region_too_small"),
        ((-20, -20, -20, -20, 30, 30), "input.region_too_small"),
        ((-19, -19, -19, -19, 28.5, 28.5), "input.region_too_small"),  # between two voxels
    ],
)
def test_what_holds_too_little_of_the_image_is_refused(bounds, code):
    image = Image(np.zeros((20, 20, 20), np.int16), STRAIGHT)
    with pytest.raises(InputError) as caught:
        voxel_box(image, corners(bounds))
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_thin_image_may_be_taken_from_end_to_end():
    image = Image(np.zeros((3, 40, 40), np.int16), STRAIGHT)
    box = voxel_box(image, corners((-60, -20, -60, -20, -100, 100)))
    assert box == (slice(0, 3), slice(10, 31), slice(10, 31))


def test_labels_of_another_size_are_not_pasted():
    image = Image(np.zeros((9, 9, 9), np.uint8), STRAIGHT)
    with pytest.raises(ValueError, match="box"):
        paste(image, image, (slice(0, 9), slice(0, 9), slice(0, 8)))
