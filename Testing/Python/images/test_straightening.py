"""Sheared images: values and labels stay where they are in the patient."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from SampleData.grids import (
    AIR,
    AXIS_ORDERS,
    TISSUE,
    anatomy,
    anatomy_ct,
    matrices,
    places,
    sheared_matrices,
    tilted,
)

from TotalSegmentatorLib.images import (
    Image,
    is_sheared,
    labels_on_grid,
    read_image,
    same_grid,
    straighten,
    write_nifti,
)
from TotalSegmentatorLib.images.geometry import itk_from_ijk_to_ras

SHAPES = st.tuples(*[st.integers(3, 14)] * 3)
GANTRY = tilted(np.diag([-0.5, -0.5, 4.0, 1.0]), 20.0)


def ramp(at: np.ndarray) -> np.ndarray:
    """Intensities that grow evenly with the place: linear interpolation keeps them exactly."""
    return 300 + 0.3 * at[0] - 0.7 * at[1] + 0.5 * at[2]


@given(sheared_matrices(), SHAPES)
def test_values_stay_at_their_place(matrix: np.ndarray, shape: tuple[int, int, int]) -> None:
    image = Image(ramp(places(matrix, shape)).astype(np.float32), matrix, "MR")
    straight = straighten(image)
    assert not is_sheared(straight.ijk_to_ras)
    assert (straight.array.dtype, straight.modality) == (np.float32, "MR")
    at = places(straight.ijk_to_ras, straight.array.shape)
    within = inside(at, image, margin=1e-6)
    assert within.any()
    np.testing.assert_allclose(straight.array[within], ramp(at)[within], atol=0.01)
    outside = ~inside(at, image, margin=-1)
    assert (straight.array[outside] == max(-1024, image.array.min())).all()


def inside(at: np.ndarray, image: Image, margin: float) -> np.ndarray:
    """Which places (3, ...) lie between the centres of voxels, *margin* voxels from the edge."""
    to_index = np.linalg.inv(image.ijk_to_ras)
    index = np.einsum("rc,c...->r...", to_index[:3, :3], at)
    index += to_index[:3, 3].reshape(3, 1, 1, 1)
    last = np.array(image.shape_ijk).reshape(3, 1, 1, 1) - 1
    return ((index >= margin) & (index <= last - margin)).all(axis=0)


@given(matrices(), SHAPES)
def test_straight_images_stay_as_they_are(matrix: np.ndarray, shape: tuple[int, int, int]) -> None:
    voxels = np.random.default_rng(0).integers(-1024, 3000, shape).astype(np.int16)
    straight = straighten(Image(voxels, matrix))
    assert np.array_equal(straight.array, voxels)
    assert same_grid(straight, Image(voxels, matrix))


def test_slices_of_a_tilted_gantry_are_only_shifted() -> None:
    voxels = np.random.default_rng(0).integers(-1000, 1000, (6, 40, 8)).astype(np.int16)
    straight = straighten(Image(voxels, GANTRY))
    assert straight.array.shape == (6, 40 + int(np.ceil(5 * 8 * np.tan(np.radians(20)))), 8)
    assert np.array_equal(straight.array[0, :40], voxels[0])
    for k in range(6):
        shift = k * 8 * np.tan(np.radians(20))
        rows = np.arange(straight.array.shape[1]) - shift
        column = np.interp(rows, np.arange(40), voxels[k, :, 3])
        within = (rows >= 0) & (rows <= 39)
        assert np.abs(straight.array[k, :, 3] - column)[within].max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("lowest", "modality", "outside"),
    [
        (-1000, "CT", -1024),
        (-3024, "", -1024),
        (0, "MR", 0),
        (-1000, "", -1000),
        (-80, "CT", -1024),
    ],
)
def test_outside_is_air(lowest: int, modality: str, outside: int) -> None:
    voxels = np.full((5, 30, 30), lowest, np.int16)
    voxels[:, 5:, 5:] = 40
    straight = straighten(Image(voxels, GANTRY, modality))
    assert straight.array[-1, 0, 0] == outside


@given(matrices(), st.sampled_from(range(48)), SHAPES, st.tuples(*[st.integers(0, 2)] * 3))
def test_labels_in_another_axis_order_are_the_same(
    matrix: np.ndarray, order: int, shape: tuple[int, int, int], cut: tuple[int, int, int]
) -> None:
    """As engines that turn an image to R, A, S and forget to turn it back; and cropped."""
    voxels = np.random.default_rng(order).integers(0, 300, shape).astype(np.uint16)
    labels = Image(voxels, matrix)
    grid = reordered(labels, AXIS_ORDERS[order])
    assert np.array_equal(labels_on_grid(labels, grid).array, grid.array)
    start = np.eye(4)
    start[:3, 3] = cut[::-1]
    cropped = Image(voxels[cut[0] :, cut[1] :, cut[2] :], matrix @ start)
    back = labels_on_grid(cropped, labels).array
    expected = np.zeros_like(voxels)
    expected[cut[0] :, cut[1] :, cut[2] :] = cropped.array
    assert np.array_equal(back, expected)


def reordered(image: Image, axes: np.ndarray) -> Image:
    """The same image with its index axes swapped and flipped by a signed permutation."""
    to_old = np.eye(4)
    to_old[:3, :3] = axes
    size = np.array(image.shape_ijk)
    to_old[:3, 3] = np.where(axes.sum(axis=1) < 0, size - 1, 0)
    shape = np.abs(axes.T @ size)[::-1].astype(int)
    k, j, i = np.indices(shape).reshape(3, -1)
    i, j, k = (to_old @ np.stack([i, j, k, np.ones_like(i)]))[:3].round().astype(int)
    return Image(image.array[k, j, i].reshape(shape), image.ijk_to_ras @ to_old)


@given(matrices(), sheared_matrices(), SHAPES, st.tuples(*[st.floats(-3, 3)] * 3))
def test_labels_of_any_grid_agree_with_simpleitk(
    grid: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int], shift: tuple[float, ...]
) -> None:
    grid[:3, 3] = matrix[:3, 3] + shift  # so that they overlap
    voxels = np.random.default_rng(0).integers(1, 250, shape).astype(np.uint8)
    target = Image(np.zeros((9, 8, 7)), grid)
    ours = labels_on_grid(Image(voxels, matrix), target)
    assert ours.array.dtype == np.uint8
    assert same_grid(ours, target)
    origin, spacing, direction = itk_from_ijk_to_ras(matrix)
    itk_labels = sitk.GetImageFromArray(voxels)
    itk_labels.SetOrigin(origin)
    itk_labels.SetSpacing(spacing)
    itk_labels.SetDirection(direction)
    origin, spacing, direction = itk_from_ijk_to_ras(grid)
    judge = sitk.Resample(
        itk_labels, (7, 8, 9), sitk.Transform(), sitk.sitkNearestNeighbor,
        origin, spacing, direction, 0.0,
    )  # fmt: skip
    index = np.einsum(
        "rc,ckji->rkji",
        np.linalg.inv(matrix),
        np.concatenate([places(grid, (9, 8, 7)), np.ones((1, 9, 8, 7))]),
    )[:3]
    clear = (np.abs(index - np.floor(index) - 0.5) > 1e-6).all(axis=0)  # no two are as near
    assert np.array_equal(ours.array[clear], sitk.GetArrayFromImage(judge)[clear])


@given(matrices(), st.floats(1, 44), st.permutations(range(3)), SHAPES)
def test_labels_of_a_tilted_gantry_survive_both_ways(
    matrix: np.ndarray, degrees: float, axes: list[int], shape: tuple[int, int, int]
) -> None:
    """Rows are shifted by part of a voxel and back, so each voxel finds its own label."""
    voxels = np.random.default_rng(0).integers(0, 250, shape).astype(np.uint8)
    labels = Image(voxels, tilted(matrix, degrees, *axes[:2]))
    straight = straighten(labels)
    there = labels_on_grid(labels, straight)
    assert np.array_equal(labels_on_grid(there, labels).array, voxels)


def round_trip(matrix: np.ndarray, shape: tuple[int, int, int]) -> None:
    """Structures found on the straight grid come back to the sheared one."""
    image = Image(anatomy_ct(matrix, shape), matrix)
    straight = straighten(image)
    labels = straight.with_array((straight.array > (AIR + TISSUE) / 2).astype(np.uint8))
    back = labels_on_grid(labels, image)
    at = places(matrix, shape)
    for name, structure in anatomy(matrix, shape).items():
        true = structure.inside(at)
        found = (back.array > 0) & structure.scaled(1.3).inside(at)
        moved = at[:, found].mean(axis=1) - structure.center
        assert np.abs(np.linalg.inv(matrix[:3, :3]) @ moved).max() < 0.5, name
        assert abs(np.count_nonzero(found) / np.count_nonzero(true) - 1) < 0.06, name


SIZES = st.tuples(*[st.integers(30, 40)] * 3)


@given(sheared_matrices(), SIZES)
@settings(max_examples=20)
def test_structures_come_back(matrix: np.ndarray, shape: tuple[int, int, int]) -> None:
    round_trip(matrix, shape)


@pytest.mark.slow
@given(sheared_matrices(), SIZES)
@settings(max_examples=400)
def test_many_structures_come_back(matrix: np.ndarray, shape: tuple[int, int, int]) -> None:
    round_trip(matrix, shape)


def test_a_sheared_nifti_is_read_right_or_not_at_all(tmp_path: Path) -> None:
    """A qform knows no shear: a reader that prefers it would put voxels at a wrong place."""
    image = Image(np.ones((6, 40, 8), np.uint8), GANTRY)
    write_nifti(image, tmp_path / "image.nii")
    assert read_image(tmp_path / "image.nii")[1][0].code == "input.straightened"
    assert same_grid(read_image(tmp_path / "image.nii")[0], image)
    judge = nibabel.load(tmp_path / "image.nii")
    assert np.allclose(judge.affine, GANTRY, atol=1e-5)
    assert int(judge.header["qform_code"]) == 0
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(tmp_path / "image.nii"))
