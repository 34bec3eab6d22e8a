"""Boxes that people draw over a volume."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.scene import region_points
from TotalSegmentatorLib.scene.volumes import array_to_matrix, matrix_to_array

NUMBERS = st.floats(-200, 200)


@pytest.fixture
def nodes(application):
    scene = application.scene
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetXYZ(10, 20, 30)
    roi.SetRadiusXYZ(1, 2, 3)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    yield scene, roi, volume
    scene.Clear(0)


def bounds(points) -> list[tuple[float, float]]:
    return [(round(min(axis), 6), round(max(axis), 6)) for axis in zip(*points, strict=True)]


def put_under(scene, node, matrix) -> None:
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(array_to_matrix(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())


def test_corners_of_the_box(nodes):
    _, roi, volume = nodes
    points = region_points(roi, volume)
    assert len(set(points)) == 8
    assert bounds(points) == [(9, 11), (18, 22), (27, 33)]


def test_moved_volume_is_met_where_it_is_seen(nodes):
    scene, roi, volume = nodes
    matrix = np.eye(4)
    matrix[:3, 3] = 100, 0, -5
    put_under(scene, volume, matrix)
    assert bounds(region_points(roi, volume)) == [(-91, -89), (18, 22), (32, 38)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(angle=st.floats(-3, 3), shift=st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_box_and_volume_moved_together_meet_as_before(application, angle, shift):
    scene = application.scene
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetXYZ(10, 20, 30)
    roi.SetRadiusXYZ(1, 2, 3)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    before = np.array(region_points(roi, volume))
    rotation = vtk.vtkTransform()
    rotation.Translate(shift)
    rotation.RotateWXYZ(np.degrees(angle), 1, 2, 3)
    matrix = matrix_to_array(rotation.GetMatrix())
    put_under(scene, roi, matrix)
    put_under(scene, volume, matrix)
    np.testing.assert_allclose(np.array(region_points(roi, volume)), before, atol=1e-6)
    scene.Clear(0)


def test_box_that_was_not_drawn_is_refused(nodes):
    scene, _, volume = nodes
    with pytest.raises(InputError) as caught:
        region_points(scene.AddNewNodeByClass("vtkMRMLMarkupsROINode"), volume)
    assert caught.value.code == "input.no_region"


def test_bent_volume_is_refused(nodes):
    scene, roi, volume = nodes
    transform = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    transform.SetAndObserveTransformFromParent(vtk.vtkThinPlateSplineTransform())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError) as caught:
        region_points(roi, volume)
    assert caught.value.code == "input.nonlinear_transform"
