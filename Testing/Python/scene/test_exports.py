from __future__ import annotations

import json
import re
import struct
import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene_samples import (
    SHAPE,
    add_bend,
    add_segmentation,
    add_transform,
    add_volume,
    box_labels,
    matrices,
    records,
    rotation,
    segment_ids,
)
from vtk.util.numpy_support import vtk_to_numpy

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import (
    Image,
    Layer,
    SegmentRecord,
    is_sheared,
    merge_layers,
    read_nifti_label_names,
)
from TotalSegmentatorLib.scene import (
    SurfaceBuilder,
    import_layers,
    segmentation_to_labels,
    surface_meshes,
    take_labelmaps,
    write_glb,
    write_labels,
    write_obj,
    write_stl,
)
from TotalSegmentatorLib.scene.volumes import array_to_matrix, array_to_vtk

STRAIGHT = np.diag([-0.8, -0.8, 2.0, 1.0])
FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def two_boxes(ijk_to_ras=STRAIGHT) -> Image:
    labels = box_labels(ijk_to_ras)
    labels.array[5:8, 2:5, 4:9] = 2
    return labels


def imported(application, labels: Image, count=2, volume=True):
    node = add_segmentation(application)
    volume_node = add_volume(application, labels.ijk_to_ras) if volume else None
    import_layers([Layer(labels, tuple(records(count)))], node, volume_node)
    return node


def add_segment(node, id: str, array: np.ndarray, matrix: np.ndarray, start=(0, 0, 0)) -> None:
    """A segment with a labelmap of its own, whose voxels are counted from *start* (i, j, k)."""
    labelmap = slicer.vtkOrientedImageData()
    ends = np.array(start) + array.shape[::-1] - 1
    labelmap.SetExtent(*np.stack([start, ends], axis=1).ravel().tolist())
    labelmap.GetPointData().SetScalars(array_to_vtk(np.ascontiguousarray(array)))
    labelmap.SetGeometryFromImageToWorldMatrix(array_to_matrix(matrix))
    segment = slicer.vtkSegment()
    segment.SetName(f"Mine {id}")
    segment.SetLabelValue(1)
    segment.AddRepresentation("Binary labelmap", labelmap)
    node.GetSegmentation().AddSegment(segment, id)


def layers_of(node) -> list[Layer]:
    return take_labelmaps(node).on_one_grid()


def under(application, node, matrix) -> None:
    node.SetAndObserveTransformNodeID(add_transform(application, matrix).GetID())


def places(image: Image, label: int) -> np.ndarray:
    """(N, 3) RAS mm of the voxels of a label, in a fixed order."""
    k, j, i = np.nonzero(image.array == label)
    found = (image.ijk_to_ras @ np.stack([i, j, k, np.ones_like(i)]))[:3].T.round(2)
    return found[np.lexsort(found.T)]


#
# Layers
#


@given(matrix=matrices())
@FEW
def test_what_was_imported_comes_back(application, matrix):
    labels = two_boxes(matrix)
    (layer,) = layers_of(imported(application, labels))
    np.testing.assert_array_equal(layer.labels.array, labels.array)
    np.testing.assert_allclose(layer.labels.ijk_to_ras, matrix, atol=1e-6)
    assert layer.segments == tuple(records(2))
    assert layer.label_names == {1: "structure_1", 2: "structure_2"}


def test_voxels_are_copied_once(application):
    labels = two_boxes()
    taken = take_labelmaps(imported(application, labels))
    labels.array[:] = 0
    (layer,) = taken.on_one_grid()
    assert layer.labels.array.any()
    assert np.shares_memory(layer.labels.array, taken.layers[0].labels.array)
    assert not layer.labels.array.flags.writeable


def test_edits_of_people_are_exported(application):
    node = imported(application, two_boxes())
    segment = node.GetSegmentation().GetSegment("structure_1")
    segment.SetName("Leber")
    segment.SetColor(1.0, 0.0, 0.2)
    segment.SetTerminology("A~B")
    vtk_to_numpy(segment.GetRepresentation("Binary labelmap").GetPointData().GetScalars())[:5] = 1
    mine = np.ones((2, 2, 2), np.uint8)
    add_segment(node, "mine", mine, STRAIGHT, start=(0, 9, 6))
    (layer,) = layers_of(node)
    first, _, last = layer.segments
    assert (first.name, first.color, first.terminology) == ("Leber", (255, 0, 51), "A~B")
    assert (layer.labels.array.ravel()[:5] == 1).all()
    assert last.id == "mine"
    assert layer.label_names[last.label] == "Mine mine"
    expected = np.zeros(SHAPE, bool)
    expected[6:8, 9:11, 0:2] = True
    np.testing.assert_array_equal(layer.labels.array == last.label, expected)
    assert np.count_nonzero(layer.labels.array == 2) == np.count_nonzero(two_boxes().array == 2)


def test_labels_that_no_segment_has_are_left_out(application):
    labels = two_boxes()
    (layer,) = layers_of(imported(application, labels, count=1))
    np.testing.assert_array_equal(layer.labels.array, labels.array == 1)


def test_overlaps_make_layers_and_the_rest_shares_one(application):
    node = imported(application, two_boxes())
    whole = np.zeros(SHAPE, np.uint8)
    whole[:, 3:6, :] = 1
    add_segment(node, "over", whole, STRAIGHT)
    apart = np.ones((1, 1, 13), np.uint8)
    add_segment(node, "apart", apart, STRAIGHT, start=(0, 10, 8))
    one, two = layers_of(node)
    assert [record.id for record in one.segments] == ["structure_1", "structure_2", "apart"]
    assert [record.id for record in two.segments] == ["over"]
    assert len({record.label for record in one.segments}) == 3
    np.testing.assert_array_equal(two.labels.array, whole)


def test_of_segments_that_overlap_the_later_is_seen(application, tmp_path):
    node = add_segmentation(application)
    for n, (start, length) in enumerate([(0, 3), (2, 4), (5, 3), (20, 2)]):
        add_segment(node, f"s{n}", np.ones((1, 1, length), np.uint8), np.eye(4), (start, 0, 0))
    layers = layers_of(node)
    assert [[record.id for record in layer.segments] for layer in layers] == [
        ["s0", "s3"],
        ["s1"],
        ["s2"],
    ]
    write_labels(layers, tmp_path / "labels.nii")
    names = read_nifti_label_names(tmp_path / "labels.nii")
    voxels = np.asarray(nibabel.load(tmp_path / "labels.nii").dataobj).ravel()
    seen = [names.get(int(label), "")[-1:] for label in voxels]
    assert "".join(name or "." for name in seen) == "00111222............33"


@pytest.mark.parametrize("reordered", [["A", "B", "C"], ["C", "B", "A"], ["A", "C", "B"]])
def test_the_order_of_segments_counts_and_not_that_of_labelmaps(application, tmp_path, reordered):
    """A and C share a labelmap, B lies over the end of A and the start of C."""
    node = add_segmentation(application)
    shared = np.array([[[1, 1, 1, 1, 0, 3, 3, 3, 3]]], np.uint8)
    layer = Layer(
        Image(shared, np.eye(4)),
        tuple(SegmentRecord(id, id, label, (1, 2, 3)) for id, label in (("A", 1), ("C", 3))),
    )
    import_layers([layer], node)
    add_segment(node, "B", np.ones((1, 1, 5), np.uint8), np.eye(4), start=(2, 0, 0))
    segmentation = node.GetSegmentation()
    for n, id in enumerate(reordered):
        segmentation.SetSegmentIndex(id, n)
    assert segment_ids(node) == reordered
    layers = layers_of(node)
    places = {record.id: n for n, layer in enumerate(layers) for record in layer.segments}
    order = [places[id] for id in reordered]
    assert order == sorted(order)
    write_labels(layers, tmp_path / "labels.nii")
    names = read_nifti_label_names(tmp_path / "labels.nii")
    voxels = np.asarray(nibabel.load(tmp_path / "labels.nii").dataobj).ravel()
    seen = "".join(names[int(label)].removeprefix("Mine ") for label in voxels)
    slicers = segmentation_to_labels(node).array.ravel()
    assert seen == "".join(reordered[label - 1] for label in slicers)


def test_a_labelmap_is_cut_only_where_overlaps_ask_for_it(application):
    """Structures 1 to 4 share a labelmap, two segments of people come between 2 and 3."""
    node = add_segmentation(application)
    shared = np.array([[[1, 1, 2, 2, 3, 3, 4, 4, 0, 0]]], np.uint8)
    import_layers([Layer(Image(shared, np.eye(4)), tuple(records(4)))], node)
    for id, start in (("apart", 8), ("over", 1)):
        add_segment(node, id, np.ones((1, 1, 2), np.uint8), np.eye(4), start=(start, 0, 0))
        node.GetSegmentation().SetSegmentIndex(id, 2)
    assert [len(layer.segments) for layer in layers_of(node)] == [5, 1]
    add_segment(node, "across", np.ones((1, 1, 2), np.uint8), np.eye(4), start=(5, 0, 0))
    node.GetSegmentation().SetSegmentIndex("across", 2)
    assert [[record.id for record in layer.segments] for layer in layers_of(node)] == [
        ["structure_1", "structure_2", "across", "apart"],
        ["over", "structure_3", "structure_4"],
    ]


@given(st.data())
@FEW
def test_merged_layers_are_what_slicer_merges(application, tmp_path_factory, data):
    """Random labelmaps of several segments each, in any order."""
    node = add_segmentation(application)
    ids = []
    for n in range(data.draw(st.integers(2, 4))):
        count = data.draw(st.integers(1, 4))
        random = np.random.default_rng(data.draw(st.integers(0, 10**6)))
        array = random.integers(0, count + 2, (2, 3, 4)).astype(np.uint8)
        array[array > count] = 0
        own = [SegmentRecord(f"s{n}_{k}", "", k, (1, 2, 3)) for k in range(1, count + 1)]
        import_layers([Layer(Image(array, np.eye(4)), tuple(own))], node, mode="append")
        ids += [record.id for record in own]
    order = data.draw(st.permutations(ids))
    for n, id in enumerate(order):
        node.GetSegmentation().SetSegmentIndex(id, n)
    merged = merge_layers(layers_of(node))
    of_label = {record.label: record.id for record in merged.segments}
    segmentation = node.GetSegmentation()
    expected = np.full(merged.labels.array.shape, "", object)
    for id in segment_ids(node):
        segment = segmentation.GetSegment(id)
        scalars = segment.GetRepresentation("Binary labelmap").GetPointData().GetScalars()
        mask = vtk_to_numpy(scalars).reshape(expected.shape) == segment.GetLabelValue()
        expected[mask] = id
    seen = np.vectorize(lambda label: of_label.get(label, ""))(merged.labels.array)
    np.testing.assert_array_equal(seen, expected)


def test_segments_without_voxels_beside_overlaps(application, tmp_path):
    node = imported(application, two_boxes())
    over = np.zeros(SHAPE, np.uint8)
    over[:, 3:6, :] = 1
    add_segment(node, "over", over, STRAIGHT)
    for _ in range(3):
        node.GetSegmentation().AddEmptySegment()
    erased = node.GetSegmentation().GetSegment("structure_2")
    voxels = vtk_to_numpy(erased.GetRepresentation("Binary labelmap").GetPointData().GetScalars())
    voxels[voxels == 2] = 0
    write_labels(layers_of(node), tmp_path / "labels.nii")
    assert len(read_nifti_label_names(tmp_path / "labels.nii")) == 6
    assert len(np.unique(np.asarray(nibabel.load(tmp_path / "labels.nii").dataobj))) == 3


@pytest.mark.parametrize("label", [-3, 70_000, 2**31 - 1])
def test_labels_that_no_file_has_room_for(application, label):
    node = imported(application, two_boxes())
    segment_id = node.GetSegmentation().AddEmptySegment()
    node.GetSegmentation().GetSegment(segment_id).SetLabelValue(label)
    (layer,) = layers_of(node)
    assert [record.label for record in layer.segments] == [1, 2, 3]


def test_more_segments_of_their_own_than_a_byte_has_labels(application):
    node = add_segmentation(application)
    for n in range(300):
        add_segment(node, f"s{n}", np.ones((1, 1, 1), np.uint8), np.eye(4), start=(n, 0, 0))
    (layer,) = layers_of(node)
    assert layer.labels.array.shape == (1, 1, 300)
    assert layer.labels.array.ravel().tolist() == [record.label for record in layer.segments]
    assert len(np.unique(layer.labels.array)) == 300


def test_what_lies_beyond_the_reference_volume_is_cut_off(application):
    node = imported(application, two_boxes())
    add_segment(node, "out", np.full((30, 2, 2), 1, np.uint8), STRAIGHT, start=(12, -1, -4))
    add_segment(node, "away", np.full((3, 3, 3), 1, np.uint8), STRAIGHT, start=(50, 50, 50))
    (layer,) = layers_of(node)
    expected = np.zeros(SHAPE, bool)
    expected[:, :1, 12:] = True
    label = {record.id: record.label for record in layer.segments}
    np.testing.assert_array_equal(layer.labels.array == label["out"], expected)
    assert not np.any(layer.labels.array == label["away"])


def test_a_reference_grid_that_does_not_start_at_0(application):
    node = imported(application, two_boxes())
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    text = node.GetSegmentation().GetConversionParameter(name)
    assert text.endswith("0;12;0;10;0;8;")
    part = text.removesuffix("0;12;0;10;0;8;") + "2;12;1;10;-3;6;"
    node.GetSegmentation().SetConversionParameter(name, part)
    (layer,) = layers_of(node)
    expected = np.pad(two_boxes().array, ((3, 0), (0, 0), (0, 0)))[:10, 1:, 2:]
    np.testing.assert_array_equal(layer.labels.array, expected)
    np.testing.assert_allclose(places(layer.labels, 1)[0], places(two_boxes(), 1)[0])


def test_a_segment_with_the_label_of_the_background(application):
    node = imported(application, two_boxes())
    add_segment(node, "odd", np.zeros((2, 2, 2), np.uint8), STRAIGHT)
    node.GetSegmentation().GetSegment("odd").SetLabelValue(0)
    (layer,) = layers_of(node)
    assert all(record.label for record in layer.segments)
    np.testing.assert_array_equal(layer.labels.array, two_boxes().array)


def test_without_a_reference_volume_the_grid_holds_all(application):
    node = add_segmentation(application)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((0.3, 0.1, -0.2)) * [0.9, 1.1, 2.0]
    add_segment(node, "a", np.ones((2, 3, 4), np.uint8), matrix, start=(5, 6, 7))
    add_segment(node, "b", np.ones((2, 2, 2), np.uint8), matrix, start=(-3, 9, 2))
    (layer,) = layers_of(node)
    assert layer.labels.array.shape == (7, 5, 12)
    for record, start, size in zip(
        layer.segments, [(5, 6, 7), (-3, 9, 2)], [(4, 3, 2), (2, 2, 2)], strict=True
    ):
        middle = np.append(np.array(start) + (np.array(size) - 1) / 2, 1)
        found = places(layer.labels, record.label)
        assert len(found) == np.prod(size)
        np.testing.assert_allclose(found.mean(axis=0), (matrix @ middle)[:3], atol=0.01)


def test_another_axis_order_keeps_its_voxels_by_place(application):
    node = imported(application, two_boxes())
    array = np.zeros(SHAPE, np.uint8)
    array[0:3, 9:11, 1:6] = 1
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = SHAPE[2] - 1
    add_segment(node, "flipped", np.ascontiguousarray(array[:, :, ::-1]), STRAIGHT @ flip)
    (layer,) = layers_of(node)
    label = layer.segments[-1].label
    np.testing.assert_array_equal(layer.labels.array == label, array == 1)


def test_another_grid_is_resampled_to_the_nearest(application):
    node = imported(application, two_boxes())
    fine = np.diag([-0.4, -0.4, 1.0, 1.0])
    fine[:3, 3] = 0.2, 0.2, -0.5  # eight voxels in one
    array = np.zeros([2 * n for n in SHAPE], np.uint8)
    array[0:6, 18:22, 2:12] = 1
    add_segment(node, "fine", array, fine)
    (layer,) = layers_of(node)
    label = layer.segments[-1].label
    np.testing.assert_array_equal(layer.labels.array == label, array[::2, ::2, ::2] == 1)


@given(matrix=matrices(), move=matrices())
@FEW
def test_a_transform_moves_the_layers(application, matrix, move):
    move = move.copy()
    move[:3, :3] /= np.linalg.norm(move[:3, :3], axis=0)  # rigid, or mirrored
    labels = two_boxes(matrix)
    node = imported(application, labels)
    under(application, node, move)
    (layer,) = layers_of(node)
    np.testing.assert_allclose(layer.labels.ijk_to_ras, move @ matrix, atol=1e-6)
    np.testing.assert_array_equal(layer.labels.array, labels.array)


def test_a_sheared_result_is_straightened(application, tmp_path):
    labels = two_boxes()
    node = imported(application, labels)
    shear = np.eye(4)
    shear[1, 2] = 0.3
    under(application, node, shear)
    layers = layers_of(node)
    assert not is_sheared(layers[0].labels.ijk_to_ras)
    before = Image(labels.array, shear @ STRAIGHT)
    for label in (1, 2):
        np.testing.assert_allclose(
            places(layers[0].labels, label).mean(axis=0),
            places(before, label).mean(axis=0),
            atol=0.5,
        )
    write_labels(layers, tmp_path / "labels.nii")
    sitk.ReadImage(str(tmp_path / "labels.nii"))  # ITK refuses a sheared one


def test_what_is_bent_or_empty_is_refused(application):
    node = imported(application, two_boxes())
    node.SetAndObserveTransformNodeID(add_bend(application).GetID())
    for export in (layers_of, surface_meshes):
        with pytest.raises(InputError) as error:
            export(node)
        assert error.value.code == "output.nonlinear_transform"
    empty = add_segmentation(application)
    for _ in range(2):
        with pytest.raises(InputError) as error:
            layers_of(empty)
        assert error.value.code == "output.empty"
        empty.GetSegmentation().AddEmptySegment("nothing", "Nothing")


@pytest.mark.parametrize(
    ("geometry", "code"),
    [
        ("1;0;0;0;0;1;0;0;0;0;1;0;0;0;0;1;0;99999;0;99999;0;99999;", "output.too_large"),
        ("0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;1;0;9;0;9;0;9;", "input.bad_geometry"),
    ],
)
def test_a_reference_grid_of_no_image_is_refused(application, geometry, code):
    node = imported(application, two_boxes())
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    node.GetSegmentation().SetConversionParameter(name, geometry)
    with pytest.raises(InputError) as error:
        layers_of(node)
    assert error.value.code == code
    assert error.value.remedy


@pytest.mark.parametrize("distance", [20_000.0, 1e12, 1e300])
def test_labelmaps_that_lie_metres_apart_are_refused(application, distance):
    node = imported(application, two_boxes(), volume=False)
    far = np.eye(4)
    far[:3, 3] = distance
    add_segment(node, "far", np.ones((2, 2, 2), np.uint8), far)
    with pytest.raises(InputError) as error:
        layers_of(node)
    assert error.value.code == "output.too_large"


def test_a_transform_to_a_plane_is_refused(application):
    node = imported(application, two_boxes())
    under(application, node, np.diag([1.0, 1.0, 0.0, 1.0]))
    for export in (layers_of, surface_meshes):
        with pytest.raises(InputError) as error:
            export(node)
        assert error.value.code == "input.bad_geometry"


def test_segments_without_voxels_keep_their_names(application):
    node = imported(application, two_boxes())
    for n in range(3):
        node.GetSegmentation().AddEmptySegment(f"empty_{n}", f"Empty {n}")
    (layer,) = layers_of(node)
    assert [record.id for record in layer.segments] == segment_ids(node)
    assert len({record.label for record in layer.segments}) == 5
    np.testing.assert_array_equal(layer.labels.array, two_boxes().array)


#
# Files of labels
#


@given(matrix=matrices())
@FEW
def test_a_nifti_file_lies_where_the_segmentation_does(application, tmp_path_factory, matrix):
    labels = two_boxes(matrix)
    path = tmp_path_factory.mktemp("nifti") / "labels.nii.gz"
    write_labels(layers_of(imported(application, labels)), path)
    read = nibabel.load(path)
    np.testing.assert_allclose(read.affine, matrix, atol=1e-3)
    np.testing.assert_array_equal(np.asarray(read.dataobj).T, labels.array)
    assert read_nifti_label_names(path) == {1: "structure_1", 2: "structure_2"}


def test_a_segmentation_file_comes_back_in_slicer(application, tmp_path):
    node = imported(application, two_boxes())
    over = np.zeros(SHAPE, np.uint8)
    over[:, 3:6, :] = 1
    add_segment(node, "over", over, STRAIGHT)
    path = tmp_path / "result.seg.nrrd"
    write_labels(layers_of(node), path)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    back = add_segmentation(application)
    assert storage.ReadData(back)
    assert segment_ids(back) == segment_ids(node)
    assert back.GetSegmentation().GetSegment("over").GetName() == "Mine over"


def test_files_are_replaced_only_if_asked(application, tmp_path):
    layers = layers_of(imported(application, two_boxes()))
    path = tmp_path / "labels.nii"
    path.write_text("mine")
    with pytest.raises(InputError) as error:
        write_labels(layers, path)
    assert error.value.code == "output.exists"
    assert path.read_text() == "mine"
    write_labels(layers, path, overwrite=True)
    assert nibabel.load(path).shape == SHAPE[::-1]
    with pytest.raises(InputError) as error:
        write_labels(layers, tmp_path / "labels.png")
    assert error.value.code == "output.unknown_format"


#
# Meshes
#


def mesh_node(application, matrix=STRAIGHT):
    node = imported(application, two_boxes(matrix), count=3)
    segment = node.GetSegmentation().GetSegment("structure_1")
    segment.SetName("Größe: links/rechts?")
    node.CreateClosedSurfaceRepresentation()
    return node


def ras_bounds(node, id: str) -> np.ndarray:
    surface = vtk.vtkPolyData()
    node.GetClosedSurfaceRepresentation(id, surface)
    transform = vtk.vtkTransformPolyDataFilter()
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        node.GetParentTransformNode(), None, to_world
    )
    transform.SetTransform(to_world)
    transform.SetInputData(surface)
    transform.Update()
    return np.array(transform.GetOutput().GetBounds())


def volume_mm3(surface) -> float:
    """Negative if the triangles are seen from inside."""
    corners = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    a, b, c = np.moveaxis(vtk_to_numpy(surface.GetPoints().GetData())[corners], 1, 0)
    return float(np.einsum("ij,ij->i", a.astype(float), np.cross(b, c)).sum() / 6)


def stl_normals(path: Path) -> np.ndarray:
    """(M, 3), as the file has them."""
    facets = np.frombuffer(path.read_bytes(), [("normal", "<f4", 3), ("rest", "V38")], offset=84)
    return facets["normal"]


def assert_outward(surface, normals: np.ndarray, at_points: bool) -> None:
    """The surface is that of a box, so every normal looks away from its middle."""
    places = vtk_to_numpy(surface.GetPoints().GetData()).astype(float)
    outward = places - places.mean(axis=0)
    if not at_points:
        corners = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
        outward = outward[corners].mean(axis=1)
    assert (np.einsum("ij,ij->i", outward, normals) > 0).all()


def to_lps(bounds: np.ndarray) -> np.ndarray:
    return np.array([-bounds[1], -bounds[0], -bounds[3], -bounds[2], bounds[4], bounds[5]])


MIRRORED = np.array([[-1.0, 0, 0, 5], [0, 0, -1, 6], [0, 1, 0, 7], [0, 0, 0, 1]])


LEFT_HANDED = STRAIGHT * [-1, 1, 1, 1]


@pytest.fixture(params=["plain", "moved", "mirrored", "left-handed", "left-handed, mirrored"])
def node(application, request):
    left_handed = request.param.startswith("left-handed")
    made = mesh_node(application, LEFT_HANDED if left_handed else STRAIGHT)
    if request.param.endswith("mirrored"):
        under(application, made, MIRRORED)
    elif request.param == "moved":
        under(application, made, MIRRORED * [-1, 1, 1, 1])
    return made


def test_stl_files(node, tmp_path):
    paths = write_stl(surface_meshes(node), tmp_path / "new")
    assert [path.name for path in paths] == ["Größe_ links_rechts_.stl", "Structure 2.stl"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in paths
    )
    for path, id in zip(paths, ["structure_1", "structure_2"], strict=True):
        assert b"SPACE=LPS" in path.read_bytes()[:80]
        reader = vtk.vtkSTLReader()
        reader.SetFileName(str(path))
        reader.Update()
        surface = reader.GetOutput()
        np.testing.assert_allclose(surface.GetBounds(), to_lps(ras_bounds(node, id)), atol=1e-3)
        assert volume_mm3(surface) > 5
        assert_outward(surface, stl_normals(path), at_points=False)
        assert surface.GetNumberOfCells() == struct.unpack("<I", path.read_bytes()[80:84])[0]


def test_slicer_reads_an_stl_file_at_its_place(application, node, tmp_path):
    path = write_stl(surface_meshes(node, ["structure_2"]), tmp_path)[0]
    storage = slicer.vtkMRMLModelStorageNode()
    storage.SetFileName(str(path))
    model = application.scene.AddNewNodeByClass("vtkMRMLModelNode")
    assert storage.ReadData(model)
    np.testing.assert_allclose(
        model.GetPolyData().GetBounds(), ras_bounds(node, "structure_2"), atol=1e-3
    )


def test_an_obj_file(application, node, tmp_path):
    path, materials = write_obj(surface_meshes(node), tmp_path / "all.obj")
    text = path.read_text("utf-8")
    assert "SPACE=LPS" in text.splitlines()[0]
    assert "mtllib all.mtl" in text
    names = re.findall(r"^o (.*)$", text, re.MULTILINE)
    assert names == ["Größe__links_rechts_", "Structure_2"]
    assert re.findall(r"^usemtl (.*)$", text, re.MULTILINE) == names
    assert re.findall(r"^newmtl (.*)$", materials.read_text("utf-8"), re.MULTILINE) == names
    color = [
        float(value) for value in re.findall(r"^Kd (.*)$", materials.read_text(), re.M)[0].split()
    ]
    np.testing.assert_allclose(np.array(color) * 255, records(1)[0].color, atol=0.01)
    reader = vtk.vtkOBJReader()
    reader.SetFileName(str(path))
    reader.Update()
    surface = reader.GetOutput()
    both = [to_lps(ras_bounds(node, id)) for id in ("structure_1", "structure_2")]
    low, high = np.min(both, axis=0)[::2], np.max(both, axis=0)[1::2]
    np.testing.assert_allclose(surface.GetBounds()[::2], low, atol=1e-3)
    np.testing.assert_allclose(surface.GetBounds()[1::2], high, atol=1e-3)
    assert volume_mm3(surface) > 20
    storage = slicer.vtkMRMLModelStorageNode()
    storage.SetFileName(str(path))
    model = application.scene.AddNewNodeByClass("vtkMRMLModelNode")
    assert storage.ReadData(model)
    assert model.GetPolyData().GetBounds()[5] == pytest.approx(high[2], abs=1e-3)
    assert model.GetPolyData().GetBounds()[0] == pytest.approx(-high[0], abs=1e-3)


def test_a_gltf_file(node, tmp_path):
    path = tmp_path / "all.glb"
    write_glb(surface_meshes(node), path)
    reader = vtk.vtkGLTFReader()
    reader.SetFileName(str(path))
    reader.Update()
    scene = reader.GetOutput()
    for n, id in enumerate(["structure_1", "structure_2"]):
        left, right, back, front, low, high = ras_bounds(node, id) / 1000
        surface = next(leaves(scene.GetBlock(n)))
        np.testing.assert_allclose(
            surface.GetBounds(), [-right, -left, low, high, back, front], atol=1e-6
        )
        triangles = vtk.vtkTriangleFilter()
        triangles.SetInputData(surface)
        triangles.Update()
        assert volume_mm3(triangles.GetOutput()) > 5e-9
        normals = vtk_to_numpy(surface.GetPointData().GetNormals())
        assert_outward(surface, normals, at_points=True)
    description = gltf_description(path)
    assert [n["name"] for n in description["nodes"]] == ["Größe: links/rechts?", "Structure 2"]
    assert description["buffers"][0]["byteLength"] % 4 == 0


def test_gltf_colors_are_those_of_the_segments(application, tmp_path):
    write_glb(surface_meshes(mesh_node(application)), tmp_path / "all.glb")
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(True)
    window.AddRenderer(renderer)
    importer = vtk.vtkGLTFImporter()
    importer.SetFileName(str(tmp_path / "all.glb"))
    importer.SetRenderWindow(window)
    importer.Update()
    # The importer keeps the values as they are in the file, in proportion to light.
    linear = np.array([actor.GetProperty().GetColor() for actor in renderer.GetActors()])
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    expected = [record.color for record in records(2)]
    np.testing.assert_allclose(sorted((255 * shown).tolist()), expected, atol=0.5)


def leaves(block):
    if not hasattr(block, "GetNumberOfBlocks"):
        yield block
        return
    for n in range(block.GetNumberOfBlocks()):
        yield from leaves(block.GetBlock(n))


def gltf_description(path: Path) -> dict:
    data = path.read_bytes()
    magic, version, size = struct.unpack("<4sII", data[:12])
    assert (magic, version, size) == (b"glTF", 2, len(data))
    length = struct.unpack("<I", data[12:16])[0]
    return json.loads(data[20 : 20 + length])


def test_surfaces_of_a_builder_are_exported_without_showing_them(application, tmp_path):
    node = imported(application, two_boxes())
    with pytest.raises(InputError) as error:
        surface_meshes(node)
    assert error.value.code == "output.no_surfaces"
    builder = SurfaceBuilder(node)
    while not builder.done:
        builder.step()
    meshes = surface_meshes(node, ["structure_2"], builder.surfaces)
    assert [mesh.id for mesh in meshes] == ["structure_2"]
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    with pytest.raises(InputError) as error:
        surface_meshes(node, [], builder.surfaces)
    assert error.value.code == "output.empty"


def test_surfaces_of_squares_become_triangles(application):
    node = imported(application, two_boxes(), count=1)
    cube = vtk.vtkCubeSource()
    cube.Update()
    meshes = surface_meshes(node, None, {"structure_1": cube.GetOutput()})
    assert meshes[0].triangles.shape == (12, 3)


def test_a_thread_writes_while_the_node_goes(application, tmp_path):
    node = mesh_node(application)
    meshes, taken = surface_meshes(node), take_labelmaps(node)
    application.scene.Clear(0)
    del node

    def write() -> None:
        write_stl(meshes, tmp_path)
        write_labels(taken.on_one_grid(), tmp_path / "labels.nii.gz")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert len(list(tmp_path.iterdir())) == 3
