from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene_samples import (
    add_segmentation,
    add_transform,
    labelmap_node,
    matrices,
    records,
    rotation,
    segment_ids,
)
from vtk.util.numpy_support import vtk_to_numpy

from TotalSegmentatorLib.errors import InputError, SegmentationError
from TotalSegmentatorLib.images import Image, Layer
from TotalSegmentatorLib.scene import (
    SurfaceBuilder,
    image_to_volume,
    import_layers,
    surfaces,
)
from TotalSegmentatorLib.scene.nodes import SURFACE
from TotalSegmentatorLib.scene.rendering import _displayable_managers
from TotalSegmentatorLib.scene.volumes import array_to_matrix, array_to_vtk, matrix_to_array

BINARY = "Binary labelmap"
STRAIGHT = np.diag([-0.8, -0.8, 2.0, 1.0])
FEW = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def organs(ijk_to_ras=STRAIGHT, dtype=np.uint8) -> Image:
    """Three structures: a ball, a neighbour that touches it, one at the edge of the image."""
    k, j, i = np.mgrid[:22, :26, :30]
    array = np.zeros(k.shape, dtype)
    array[(k - 11) ** 2 + (j - 12) ** 2 + (i - 13) ** 2 < 60] = 1
    array[(array == 0) & (abs(k - 11) < 5) & (abs(j - 20) < 4) & (abs(i - 14) < 8)] = 2
    array[:4, :7, 20:] = 3
    return Image(array, ijk_to_ras)


def node_with(application, *labelmaps: Image):
    """Every labelmap has structures of its own."""
    node = add_segmentation(application)
    layers, given_out = [], 0
    for labels in labelmaps:
        count = int(labels.array.max())
        layers.append(
            Layer(
                labels,
                tuple(
                    dataclasses.replace(r, label=r.label - given_out)
                    for r in records(given_out + count)[given_out:]
                ),
            )
        )
        given_out += count
    import_layers(layers, node)
    return node


def build(node, smoothing=None) -> SurfaceBuilder:
    builder = SurfaceBuilder(node, smoothing)
    while not builder.done:
        builder.step()
    return builder


def surface_of(node, id: str):
    return node.GetSegmentation().GetSegment(id).GetRepresentation(SURFACE)


def points(surface) -> np.ndarray:
    return vtk_to_numpy(surface.GetPoints().GetData()) if surface.GetPoints() else np.zeros((0, 3))


def check_as_slicer(node, smoothing=None, same_triangles=True) -> None:
    """What is built is what Slicer makes of the same node."""
    built = build(node, smoothing).surfaces
    if smoothing is not None:
        node.GetSegmentation().SetConversionParameter("Smoothing factor", str(smoothing))
    node.GetSegmentation().RemoveRepresentation(SURFACE)
    node.CreateClosedSurfaceRepresentation()
    assert list(built) == segment_ids(node)
    assert sum(surface.GetNumberOfPoints() for surface in built.values())
    for id, surface in built.items():
        own = surface_of(node, id)
        np.testing.assert_allclose(points(surface), points(own), atol=1e-3, err_msg=id)
        if same_triangles:
            np.testing.assert_array_equal(
                vtk_to_numpy(surface.GetPolys().GetConnectivityArray()),
                vtk_to_numpy(own.GetPolys().GetConnectivityArray()),
            )
        normals, own_normals = (s.GetPointData().GetNormals() for s in (surface, own))
        assert (normals is None) == (own_normals is None)
        if normals is not None:
            np.testing.assert_allclose(vtk_to_numpy(normals), vtk_to_numpy(own_normals), atol=0.01)


@given(matrix=matrices(), smoothing=st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]))
@FEW
def test_surfaces_are_those_of_slicer(application, matrix, smoothing):
    check_as_slicer(node_with(application, organs(matrix)), smoothing)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32])
def test_surfaces_are_those_of_slicer_for_all_types_of_voxels(application, dtype):
    node = add_segmentation(application)
    labels = labelmap_node(application)
    image_to_volume(organs(dtype=dtype), labels)
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labels, node)
    check_as_slicer(node)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("Decimation factor", "0.5"),
        ("Compute surface normals", "0"),
        ("Conversion method", "1"),
        ("Joint smoothing", "1"),
    ],
)
def test_the_conversion_parameters_of_the_node_count(application, parameter, value):
    node = node_with(application, organs())
    assert node.GetSegmentation().GetConversionParameter(parameter) != ""
    node.GetSegmentation().SetConversionParameter(parameter, value)
    # Surface nets cut squares into two triangles along either diagonal.
    check_as_slicer(node, same_triangles=parameter != "Conversion method")


def test_layers_that_share_and_layers_of_one_segment(application):
    one = Image((organs().array == 1).astype(np.uint8), STRAIGHT)
    turned = np.eye(4)
    turned[:3, :3] = rotation((0.3, 0.2, -0.4)) * [1.0, 1.2, 0.7]
    check_as_slicer(node_with(application, organs(), one, organs(turned)))


def test_an_extent_that_does_not_start_at_0(application):
    node = node_with(application, organs())
    array = organs().array[5:20, 2:26, 3:]
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent(7, 7 + array.shape[2] - 1, -4, -4 + array.shape[1] - 1, 5, 19)
    labelmap.GetPointData().SetScalars(array_to_vtk(np.ascontiguousarray(array)))
    labelmap.SetGeometryFromImageToWorldMatrix(array_to_matrix(STRAIGHT))
    segment = slicer.vtkSegment()
    segment.SetName("Shifted")
    segment.SetLabelValue(2)
    segment.AddRepresentation(BINARY, labelmap)
    node.GetSegmentation().AddSegment(segment, "shifted")
    check_as_slicer(node)


def test_a_node_under_a_transform(application):
    node = node_with(application, organs())
    before = build(node).surfaces
    matrix = np.eye(4)
    matrix[:3, 3] = 10, 20, 30
    node.SetAndObserveTransformNodeID(add_transform(application, matrix).GetID())
    build(node).finish()
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    # The surfaces are in the node's coordinates, and the transform moves them.
    all_points = np.concatenate([points(s) for s in before.values()]) + matrix[:3, 3]
    assert np.all(bounds[::2] <= all_points.min(axis=0))
    assert np.all(bounds[1::2] >= all_points.max(axis=0))
    check_as_slicer(node)


def test_an_edited_segment_and_an_empty_one(application):
    node = node_with(application, organs())
    node.GetSegmentation().AddEmptySegment("mine", "Mine")
    labelmap = labelmap_of(node, "structure_1")
    vtk_to_numpy(labelmap.GetPointData().GetScalars())[:2000] = 1
    labelmap.GetPointData().GetScalars().Modified()
    labelmap.Modified()
    node.GetSegmentation().SeparateSegmentLabelmap("structure_2")
    check_as_slicer(node)
    assert build(node).surfaces["mine"].GetNumberOfPoints() == 0


def labelmap_of(node, id: str):
    return node.GetSegmentation().GetSegment(id).GetRepresentation(BINARY)


def test_bounding_boxes_over_several_slabs(application, monkeypatch):
    monkeypatch.setattr(surfaces, "_VOXELS_AT_ONCE", 3 * 26 * 30)
    node = node_with(application, organs())
    builder = SurfaceBuilder(node)
    for _ in range(8):  # 22 slices, 3 at once
        assert builder.surfaces == {}
        builder.step()
    check_as_slicer(node)


def test_nothing_is_changed_before_the_end(application):
    node = node_with(application, organs())
    changed = node.GetMTime(), node.GetSegmentation().GetMTime()
    smoothing = node.GetSegmentation().GetConversionParameter("Smoothing factor")
    builder = build(node, 1.0)
    builder.close()
    assert (node.GetMTime(), node.GetSegmentation().GetMTime()) == changed
    assert node.GetSegmentation().GetConversionParameter("Smoothing factor") == smoothing
    assert surface_of(node, "structure_1") is None


def test_surfaces_are_handed_over_at_once_and_shown(application):
    labels = np.zeros((12, 20, 24), np.uint8)
    labels[::2, ::2, ::2].flat[:100] = range(1, 101)
    node = node_with(application, Image(labels, STRAIGHT))
    display = node.GetDisplayNode()
    display.SetVisibility3D(False)
    voxels = labelmap_of(node, "structure_1").GetMTime()
    builder = build(node, 0.0)
    events = []
    for observed in (node, display):
        observed.AddObserver("AnyEvent", lambda *_: events.append(1))
    told = []
    # What Slicer's widgets listen to.
    names_modified = slicer.vtkSegmentation.ContainedRepresentationNamesModified
    node.AddObserver(names_modified, lambda *_: told.append(1))
    builder.finish()
    assert told == [1]
    assert len(events) < 15
    assert display.GetVisibility3D()
    assert display.GetPreferredDisplayRepresentationName3D() == SURFACE
    assert node.GetSegmentation().GetConversionParameter("Smoothing factor") == "0.0"
    assert labelmap_of(node, "structure_1").GetMTime() == voxels
    assert surface_of(node, "structure_7") is builder.surfaces["structure_7"]


def test_an_open_3d_view_shows_the_surfaces(application):
    node = node_with(application, organs())
    view = application.scene.AddNewNodeByClass("vtkMRMLViewNode")
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(True)
    window.AddRenderer(renderer)
    interactor = vtk.vtkGenericRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    manager = slicer.vtkMRMLSegmentationsDisplayableManager3D()
    group = _displayable_managers(renderer, application, view, [manager])
    assert not vtk.vtkMath.AreBoundsInitialized(renderer.ComputeVisiblePropBounds())
    builder = build(node)
    builder.finish()
    shown = renderer.ComputeVisiblePropBounds()
    expected = np.concatenate([points(s) for s in builder.surfaces.values()])
    np.testing.assert_allclose(shown[::2], expected.min(axis=0), atol=1e-3)
    np.testing.assert_allclose(shown[1::2], expected.max(axis=0), atol=1e-3)
    del group, interactor


def test_surfaces_that_are_there_are_kept(application):
    node = node_with(application, organs())
    node.GetDisplayNode().SetVisibility3D(False)
    node.CreateClosedSurfaceRepresentation()
    present = surface_of(node, "structure_1")
    builder = SurfaceBuilder(node)
    assert builder.done
    assert builder.fraction == 1.0
    builder.finish()
    assert surface_of(node, "structure_1") is present
    assert node.GetDisplayNode().GetVisibility3D()
    build(node, 1.0).finish()
    assert surface_of(node, "structure_1") is not present


def test_surfaces_older_than_an_edit_are_not_kept(application):
    node = node_with(application, organs())
    node.CreateClosedSurfaceRepresentation()
    present = surface_of(node, "structure_1")
    scalars = labelmap_of(node, "structure_1").GetPointData().GetScalars()
    vtk_to_numpy(scalars)[:2000] = 1
    scalars.Modified()  # Slicer takes no notice of that
    assert surface_of(node, "structure_1") is present
    assert not SurfaceBuilder(node).done
    check_as_slicer(node)


def test_the_fraction_grows_to_1(application):
    builder = SurfaceBuilder(node_with(application, organs()))
    fractions = [builder.fraction]
    while not builder.done:
        builder.step()
        fractions.append(builder.fraction)
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0


def test_a_step_does_not_wait_for_a_large_structure(application, monkeypatch):
    go_on, run = threading.Event(), surfaces._Conversion._run
    monkeypatch.setattr(surfaces._Conversion, "_run", lambda self: (go_on.wait(10), run(self))[1])
    builder = SurfaceBuilder(node_with(application, organs()))
    for _ in range(5):
        builder.step()
    assert builder.surfaces == {}
    go_on.set()
    while not builder.done:
        builder.step()
    assert len(builder.surfaces) == 3


def test_edits_in_the_meantime_are_followed(application):
    node = node_with(application, organs(), Image(organs().array[:, :, ::-1].copy(), STRAIGHT))
    builder = build(node)
    other = builder.surfaces["structure_5"]
    labelmap = labelmap_of(node, "structure_1")
    vtk_to_numpy(labelmap.GetPointData().GetScalars())[:2000] = 1
    labelmap.Modified()
    assert not builder.done
    with pytest.raises(ValueError, match="not done"):
        builder.finish()
    node.GetSegmentation().RemoveSegment("structure_3")
    node.GetSegmentation().AddEmptySegment("mine", "Mine")
    while not builder.done:
        builder.step()
    assert sorted(builder.surfaces) == ["mine", *sorted(set(segment_ids(node)) - {"mine"})]
    assert builder.surfaces["structure_5"] is other
    builder.finish()
    built = points(surface_of(node, "structure_1"))
    node.GetSegmentation().RemoveRepresentation(SURFACE)
    node.CreateClosedSurfaceRepresentation()
    np.testing.assert_allclose(built, points(surface_of(node, "structure_1")), atol=1e-3)


def test_a_new_content_is_built_from_its_start(application):
    node = node_with(application, organs())
    builder = build(node)
    import_layers([Layer(organs(), tuple(records(2)))], node)
    assert not builder.done
    while not builder.done:
        builder.step()
    assert list(builder.surfaces) == ["structure_1", "structure_2"]


@pytest.mark.parametrize("method", ["step", "finish"])
def test_a_node_that_was_removed_is_said_so(application, method):
    node = node_with(application, organs())
    builder = SurfaceBuilder(node)
    builder.step()
    application.scene.RemoveNode(node)
    del node
    with pytest.raises(InputError) as error:
        getattr(builder, method)()
    assert error.value.code == "input.node_removed"


def test_what_is_no_labelmap(application):
    node = add_segmentation(application)
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(SURFACE)
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    segment = slicer.vtkSegment()
    segment.AddRepresentation(SURFACE, sphere.GetOutput())
    segmentation.AddSegment(segment, "ball")
    build(node).finish()
    assert surface_of(node, "ball") is sphere.GetOutput()
    segmentation.SetSourceRepresentationName("Planar contour")
    with pytest.raises(InputError) as error:
        SurfaceBuilder(node)
    assert error.value.code == "output.not_labelmaps"


def test_an_empty_node_has_nothing_to_build(application):
    build(add_segmentation(application)).finish()


def test_labels_stay_as_they_are(application):
    node = node_with(application, organs())
    build(node, 1.0).finish()
    labelmap = labelmap_of(node, "structure_1")
    array = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(organs().array.shape)
    np.testing.assert_array_equal(array, organs().array)
    assert matrix_to_array(_matrix(labelmap)) == pytest.approx(STRAIGHT)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_a_smoothing_that_is_none(application, bad):
    with pytest.raises(ValueError, match="from 0 to 1"):
        SurfaceBuilder(node_with(application, organs()), bad)


@pytest.mark.parametrize(
    ("parameter", "text", "same_as"),
    [
        ("Smoothing factor", "abc", "0.5"),
        ("Smoothing factor", "nan", "0.5"),
        ("Smoothing factor", "1e400", "0.5"),
        ("Smoothing factor", "", "0.5"),
        ("Smoothing factor", "-1", "0"),
        ("Smoothing factor", "7", "1"),
        ("Decimation factor", "oops", "0"),
        ("Decimation factor", "3", "1"),
        ("Conversion method", "other", "0"),
    ],
)
@pytest.mark.parametrize("jointly", ["0", "1"])
def test_any_text_in_the_parameters_of_a_scene(application, parameter, text, same_as, jointly):
    found = []
    for value in (text, same_as):
        node = node_with(application, organs())
        node.GetSegmentation().SetConversionParameter("Joint smoothing", jointly)
        node.GetSegmentation().SetConversionParameter(parameter, value)
        found.append(build(node).surfaces)
    for id, surface in found[0].items():
        np.testing.assert_array_equal(points(surface), points(found[1][id]))


@pytest.mark.parametrize("error", [MemoryError("too much"), RuntimeError("a filter failed")])
@pytest.mark.parametrize("place", ["_cut_out", "_pipeline", "Update"])
def test_what_fails_is_said_and_not_tried_again(application, monkeypatch, error, place):
    tried = []

    def fail(*_):
        tried.append(place)
        raise error

    if place == "Update":
        broken = SimpleNamespace(Update=fail, Register=lambda _: None, UnRegister=lambda _: None)
        monkeypatch.setattr(surfaces, "_pipeline", lambda *_: [broken])
    else:
        monkeypatch.setattr(surfaces, place, fail)
    builder = SurfaceBuilder(node_with(application, organs()))
    raised = []
    for _ in range(1000):
        try:
            builder.step()
        except SegmentationError as said:
            raised.append(said)
        if len(raised) == 3:
            break
    assert [said.code for said in raised] == ["engine.internal"] * 3
    assert str(error) in raised[0].details
    assert tried == [place]
    assert not builder.done


LONG_RUN = """
import sys
import numpy as np
import slicer
from TotalSegmentatorLib.images import Image, Layer, SegmentRecord
from TotalSegmentatorLib.scene import SurfaceBuilder, import_layers
noise = (np.random.default_rng(0).random((120, 200, 200)) > 0.7).astype(np.uint8)
scene = slicer.vtkMRMLScene()
node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
layer = Layer(Image(noise, np.eye(4)), (SegmentRecord("liver", "Liver", 1, (1, 2, 3)),))
import_layers([layer], node)
builder = SurfaceBuilder(node)
while builder._running is None:
    builder.step()
for _ in range(20):
    builder.step()
assert not builder.done
if sys.argv[1] == "close":
    builder.close()
print("quits", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["close", "forget"])
def test_quitting_does_not_wait_for_a_surface(way):
    """It takes ten seconds to build."""
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_RUN, way],
        cwd=Path(surfaces.__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout.readline() == b"quits\n"
        start = time.monotonic()
        assert process.wait(20) == 0
        assert time.monotonic() - start < 2


def test_closing_ends_the_filter_that_runs(application):
    noise = (np.random.default_rng(0).random((60, 100, 100)) > 0.7).astype(np.uint8)
    builder = SurfaceBuilder(node_with(application, Image(noise, STRAIGHT)))
    before = set(threading.enumerate())
    while not (started := set(threading.enumerate()) - before):
        builder.step()
    builder.close()
    (thread,) = started
    thread.join(1)
    assert not thread.is_alive()
    assert builder.surfaces == {}


def _matrix(labelmap):
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return matrix
