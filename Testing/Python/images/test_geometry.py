"""Matrices: conversions are exact, and every check finds what it is for and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from SampleData.grids import images, matrices, sheared_matrices, tilted

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import Image, check_geometry, is_sheared, same_grid
from TotalSegmentatorLib.images.geometry import (
    ijk_to_ras_from_itk,
    itk_from_ijk_to_ras,
    straight_grid,
    tilt_degrees,
)


@given(matrices())
def test_itk_and_back(matrix: np.ndarray) -> None:
    assert np.allclose(ijk_to_ras_from_itk(*itk_from_ijk_to_ras(matrix)), matrix, atol=1e-9)


@given(matrices(), st.tuples(*[st.integers(0, 50)] * 3))
def test_itk_puts_voxels_at_the_same_place(matrix: np.ndarray, index: tuple[int, int, int]) -> None:
    itk_image = sitk.Image(51, 51, 51, sitk.sitkUInt8)
    origin, spacing, direction = itk_from_ijk_to_ras(matrix)
    itk_image.SetOrigin(origin)
    itk_image.SetSpacing(spacing)
    itk_image.SetDirection(direction)
    x, y, z = itk_image.TransformIndexToPhysicalPoint(index)
    assert np.allclose((matrix @ [*index, 1])[:3], [-x, -y, z], atol=1e-8)


@given(images())
def test_properties_of_an_image(image: Image) -> None:
    matrix = image.ijk_to_ras[:3, :3]
    assert image.shape_ijk == image.array.shape[::-1]
    assert np.allclose(image.directions * image.spacing, matrix)
    assert np.allclose(np.linalg.norm(image.directions, axis=0), 1)
    assert image.voxel_volume_ml == pytest.approx(np.prod(image.spacing) / 1000)


@given(matrices())
def test_rotated_grids_are_not_sheared(matrix: np.ndarray) -> None:
    assert not is_sheared(matrix)
    assert not is_sheared(matrix.astype(np.float32))


@given(matrices(), st.floats(0.5, 45), st.permutations(range(3)))
def test_a_tilt_of_half_a_degree_is_seen(
    matrix: np.ndarray, degrees: float, axes: list[int]
) -> None:
    leant = tilted(matrix, degrees, *axes[:2])
    assert is_sheared(leant)
    assert tilt_degrees(leant) == pytest.approx(degrees)
    assert tilt_degrees(matrix) < 1e-3


@given(matrices(), st.tuples(*[st.integers(3, 60)] * 3))
def test_a_straight_grid_stays_as_it_is(matrix: np.ndarray, shape: tuple[int, int, int]) -> None:
    straight, size = straight_grid(matrix, shape)
    assert size == shape
    assert np.allclose(straight, matrix, atol=1e-9)


@given(sheared_matrices(), st.tuples(*[st.integers(3, 60)] * 3))
def test_a_straight_grid_covers_the_sheared_one(
    matrix: np.ndarray, shape: tuple[int, int, int]
) -> None:
    straight, size = straight_grid(matrix, shape)
    axes, old = straight[:3, :3], matrix[:3, :3]
    spacing, old_spacing = np.linalg.norm(axes, axis=0), np.linalg.norm(old, axis=0)
    assert np.allclose(axes.T @ axes, np.diag(spacing**2), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(np.linalg.det(old))  # volume and handedness
    assert (spacing <= old_spacing + 1e-9).all()  # no detail is lost
    finest, coarsest = np.argmin(old_spacing), np.argmax(old_spacing)
    assert np.allclose(axes[:, finest], old[:, finest])
    cosines = (axes * old).sum(axis=0) / spacing / old_spacing
    assert (cosines > np.cos(np.radians(46))).all()  # no axis is turned round or swapped
    # Every voxel has its place in the straight grid, and slices fall on slices.
    indices = np.indices(shape[::-1]).reshape(3, -1)
    found = np.linalg.inv(straight) @ matrix @ np.vstack([indices, np.ones(indices.shape[1])])
    assert found[:3].min() > -0.01
    assert (found[:3].max(axis=1) < np.array(size[::-1]) - 0.99).all()
    assert np.allclose(found[coarsest], indices[coarsest], atol=1e-6)
    assert np.allclose(found[:3, 0], found[:3, 0].round(), atol=1e-6)


@pytest.mark.parametrize("degrees", [15.0, 22.5, 0.5])
def test_a_tilted_gantry_is_noticed(degrees: float) -> None:
    matrix = tilted(np.diag([-0.5, -0.5, 5.0, 1.0]), degrees)
    (notice,) = check_geometry(matrix, (30, 512, 512), "ct.nii")
    assert notice.code == "input.straightened"
    assert f"ct.nii is tilted by {degrees:g} degrees" in notice.message


@pytest.mark.parametrize(
    ("degrees", "shape"),
    [(46.0, (30, 512, 512)), (80.0, (30, 512, 512)), (30.0, (1200, 128, 128))],
)
def test_an_absurd_shear_is_refused(degrees: float, shape: tuple[int, int, int]) -> None:
    matrix = tilted(np.diag([1.0, 1.0, 2.0, 1.0]), degrees)
    with pytest.raises(InputError, match=f"{degrees:g} degrees") as caught:
        check_geometry(matrix, shape, "ct.nii")
    assert caught.value.code == "input.bad_geometry"


@given(images())
def test_same_grid(image: Image) -> None:
    moved = image.ijk_to_ras.copy()
    moved[0, 3] += 0.01
    assert same_grid(image, image.with_array(image.array + 1))
    assert same_grid(image, Image(image.array, image.ijk_to_ras.astype(np.float32)))
    assert not same_grid(image, Image(image.array, moved))
    assert not same_grid(image, Image(image.array[1:], image.ijk_to_ras))


def test_same_grid_sees_a_flip() -> None:
    array = np.zeros((3, 4, 5))
    flipped = np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[0, 3] = 4
    assert not same_grid(Image(array, np.eye(4)), Image(array, flipped))


@pytest.mark.parametrize(
    ("spacing", "shape", "code"),
    [
        ((1, 1, 0.001), (10, 10, 10), "input.bad_geometry"),
        ((1, 1, 500), (10, 10, 10), "input.bad_geometry"),
        ((1, 1, 40), (100, 10, 10), "input.bad_geometry"),
        ((1, 1, 0), (10, 10, 10), "input.bad_geometry"),
        ((1, 1, np.nan), (10, 10, 10), "input.bad_geometry"),
        ((1, 1, 1), (2, 10, 10), "input.too_small"),
        ((1, 1, 1), (10, 10, 1), "input.too_small"),
    ],
)
def test_absurd_grids_are_refused(
    spacing: tuple[float, float, float], shape: tuple[int, int, int], code: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_geometry(np.diag([*spacing, 1.0]), shape, "ct.nii")
    assert caught.value.code == code
    assert "ct.nii" in caught.value.message


def test_a_projective_matrix_is_refused() -> None:
    matrix = np.eye(4)
    matrix[3, 0] = 0.1
    with pytest.raises(InputError):
        check_geometry(matrix, (10, 10, 10))


def test_usual_and_coarse_grids_are_accepted() -> None:
    assert check_geometry(np.diag([0.7, 0.7, 5.0, 1.0]), (100, 512, 512)) == ()
    notices = check_geometry(np.diag([0.7, 0.7, 7.5, 1.0]), (50, 512, 512))
    assert [notice.code for notice in notices] == ["input.coarse"]
    assert "7.5 mm" in notices[0].message


def test_an_image_checks_its_shapes_and_keeps_its_matrix() -> None:
    with pytest.raises(ValueError, match="3 dimensions"):
        Image(np.zeros((2, 2)), np.eye(4))
    with pytest.raises(ValueError, match="4 x 4"):
        Image(np.zeros((2, 2, 2)), np.eye(3))
    matrix = np.eye(4)
    image = Image(np.zeros((2, 3, 4)), matrix)
    matrix[0, 3] = 7
    assert image.ijk_to_ras[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        image.ijk_to_ras[0, 3] = 7
    with pytest.raises(ValueError, match="not the grid's"):
        image.with_array(np.zeros((4, 3, 2)))
