from __future__ import annotations

import gc

import numpy as np
import pytest
import slicer
import vtk
from hypothesis import HealthCheck, given, settings
from scene_samples import SHAPE, add_bend, add_transform, add_volume, matrices

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import Image, write_nifti
from TotalSegmentatorLib.images.values import to_intensities
from TotalSegmentatorLib.scene import image_to_volume, view_volume, volume_to_image

STRAIGHT = np.diag([-0.8, -0.8, 2.0, 1.0])


def refusal(node) -> InputError:
    with pytest.raises(InputError) as caught:
        volume_to_image(node)
    assert node.GetName() not in caught.value.message  # it may be the patient's
    assert caught.value.remedy
    return caught.value


@given(matrix=matrices())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_node_and_image_agree_about_every_voxel(application, matrix):
    node = add_volume(application, matrix)
    image = volume_to_image(node)
    assert image.array.shape == SHAPE
    np.testing.assert_allclose(image.ijk_to_ras, matrix, atol=1e-9)
    assert image.array[3, 2, 1] == node.GetImageData().GetScalarComponentAsDouble(1, 2, 3, 0)


def test_view_shares_memory_is_read_only_and_outlives_the_node(application):
    node = add_volume(application, STRAIGHT)
    image = volume_to_image(node)
    node.GetImageData().SetScalarComponentFromDouble(0, 0, 0, 0, 77)
    assert image.array[0, 0, 0] == 77
    with pytest.raises(ValueError):
        image.array[0, 0, 0] = 1
    expected = image.array.copy()
    application.scene.RemoveNode(node)
    del node
    gc.collect()
    np.testing.assert_array_equal(image.array, expected)


def test_slicers_own_reader_puts_a_file_at_the_same_place(application, tmp_path):
    """Slicer flips left-handed volumes along K when it loads them."""
    matrix = np.diag([-0.8, 0.8, 2.0, 1.0]) @ np.diag([-1.0, 1, 1, 1])
    matrix[0, 0] = -0.8
    array = np.random.default_rng(0).integers(0, 999, SHAPE).astype(np.int16)
    write_nifti(Image(array, matrix), tmp_path / "image.nii.gz")
    node = application.volumes.AddArchetypeVolume(str(tmp_path / "image.nii.gz"), "CT", 0)
    image = volume_to_image(node)
    corner = (np.linalg.inv(image.ijk_to_ras) @ matrix @ [1, 2, 3, 1]).round(3)[:3]
    i, j, k = corner.astype(int)
    assert image.array[k, j, i] == array[3, 2, 1]


def test_an_extent_that_does_not_start_at_zero_moves_the_image(application):
    node = add_volume(application, STRAIGHT)
    data = vtk.vtkImageData()
    data.SetExtent(2, 5, 0, 4, 1, 6)
    data.AllocateScalars(vtk.VTK_SHORT, 1)
    node.SetAndObserveImageData(data)
    image = volume_to_image(node)
    assert image.array.shape == (6, 5, 4)
    np.testing.assert_allclose(image.ijk_to_ras[:3, 3], [-1.6, 0.0, 2.0])


def test_a_linear_transform_is_left_to_the_result(application):
    node = add_volume(application, STRAIGHT)
    moved = np.eye(4)
    moved[:3, 3] = [10, 20, 30]
    node.SetAndObserveTransformNodeID(add_transform(application, moved).GetID())
    np.testing.assert_array_equal(volume_to_image(node).ijk_to_ras, STRAIGHT)


def test_a_bent_volume_is_refused(application):
    node = add_volume(application, STRAIGHT)
    bend = add_bend(application)
    node.SetAndObserveTransformNodeID(bend.GetID())
    error = refusal(node)
    assert error.code == "input.nonlinear_transform"
    assert "Harden" in error.remedy


def test_a_bend_further_up_is_refused(application):
    node = add_volume(application, STRAIGHT)
    linear = add_transform(application, np.eye(4))
    linear.SetAndObserveTransformNodeID(add_bend(application).GetID())
    node.SetAndObserveTransformNodeID(linear.GetID())
    assert refusal(node).code == "input.nonlinear_transform"


def test_a_sheared_volume_is_read_as_it_is_with_a_notice(application):
    matrix = STRAIGHT.copy()
    matrix[1, 2] = 2.0 * np.tan(np.radians(20))
    node = add_volume(application, matrix)
    image, notices = view_volume(node)
    assert [notice.code for notice in notices] == ["input.straightened"]
    assert "The volume is tilted by 20 degrees" in notices[0].message
    np.testing.assert_array_equal(image.ijk_to_ras, matrix)
    assert np.shares_memory(image.array, slicer.util.arrayFromVolume(node))


def test_a_badly_sheared_volume_is_refused(application):
    matrix = STRAIGHT.copy()
    matrix[1, 2] = 2.5
    assert refusal(add_volume(application, matrix)).code == "input.bad_geometry"


def test_a_volume_without_voxels_is_refused(application):
    node = application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    assert refusal(node).code == "input.no_voxels"
    node.SetAndObserveImageData(vtk.vtkImageData())
    assert refusal(node).code == "input.no_voxels"


def test_a_colour_volume_is_refused(application):
    node = application.scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Photo")
    data = vtk.vtkImageData()
    data.SetDimensions(4, 4, 4)
    data.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    node.SetAndObserveImageData(data)
    assert refusal(node).code == "input.not_scalar"


def test_a_single_slice_is_refused(application):
    assert refusal(add_volume(application, STRAIGHT, (1, 8, 8))).code == "input.not_3d"


def test_reading_a_node_replaces_what_is_not_a_number_and_says_so(application):
    array = np.full(SHAPE, -1000.0, np.float64)
    array[0, 0, :2] = np.nan
    node = application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    image_to_volume(Image(array, STRAIGHT), node)
    image, _ = view_volume(node)
    converted, notices = to_intensities(image.array, "The volume")
    assert [notice.code for notice in notices] == ["input.nonfinite"]
    assert converted.dtype == np.float32
    assert np.isfinite(converted).all()
    assert np.isnan(volume_to_image(node).array[0, 0, 0])  # the node is as it was


def test_reading_an_int16_node_copies_nothing(application):
    node = add_volume(application, STRAIGHT)
    image, notices = view_volume(node)
    assert notices == ()
    assert np.shares_memory(image.array, slicer.util.arrayFromVolume(node))
