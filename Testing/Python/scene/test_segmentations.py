from __future__ import annotations

import dataclasses
import gc
import json

import numpy as np
import pytest
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
    box_center,
    box_labels,
    labelmap_node,
    matrices,
    records,
    rotation,
    segment_ids,
)
from vtk.util.numpy_support import vtk_to_numpy

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import Image, Layer, write_segmentation
from TotalSegmentatorLib.scene import (
    import_layers,
    restore_snapshot,
    segmentation_to_labels,
    segmentations,
    take_snapshot,
    volume_to_image,
)
from TotalSegmentatorLib.scene.segmentations import GROUP_TAG, ID_TAG
from TotalSegmentatorLib.scene.volumes import matrix_to_array

STRAIGHT = np.diag([-0.8, -0.8, 2.0, 1.0])
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def put(labels, segments, node, volume_node=None, mode="replace", provenance=None) -> None:
    """One layer, all of whose structures were found."""
    layer = Layer(labels, tuple(segments), {record.label: record.id for record in segments})
    import_layers([layer], node, volume_node, mode, provenance or {})


def many_labels(count: int = 117, dtype: type = np.uint8) -> Image:
    """Labels 1 to count, each 8 voxels."""
    array = np.zeros((12, 20, 24), dtype)
    corners = [(k, j, i) for k in range(0, 12, 2) for j in range(0, 20, 2) for i in range(0, 24, 2)]
    for label, (k, j, i) in enumerate(corners[:count], 1):
        array[k : k + 2, j : j + 2, i : i + 2] = label
    return Image(array, STRAIGHT)


def at_same_place(exported: Image, labels: Image) -> None:
    """Every labelled voxel of one has its counterpart in the other, by position."""
    k, j, i = np.nonzero(exported.array)
    places = exported.ijk_to_ras @ np.stack([i, j, k, np.ones_like(i)])
    back = (np.linalg.inv(labels.ijk_to_ras) @ places)[:3]
    assert np.abs(back - back.round()).max() < 1e-3
    i2, j2, k2 = back.round().astype(int)
    np.testing.assert_array_equal(exported.array[k, j, i], labels.array[k2, j2, i2])
    assert np.count_nonzero(exported.array) == np.count_nonzero(labels.array)


@given(matrix=matrices())
@FEW
def test_a_structure_comes_back_at_its_place(application, matrix):
    labels = box_labels(matrix)
    node = add_segmentation(application)
    put(labels, records(1), node)
    center = node.GetSegmentCenterRAS("structure_1")
    # Slicer gives the middle of the effective extent, to half a voxel.
    assert np.linalg.norm(np.array(center) - box_center(labels)) <= max(labels.spacing)
    at_same_place(segmentation_to_labels(node), labels)


@given(grid=matrices(), order=st.permutations(range(3)), flips=st.tuples(*[st.booleans()] * 3))
@FEW
def test_labels_in_another_axis_order_than_the_volume_keep_their_place(
    application, grid, order, flips
):
    volume_node = add_volume(application, grid)
    labels = box_labels(grid)
    other = reordered(labels, order, flips)
    node = add_segmentation(application)
    put(other, records(1), node, volume_node)
    at_same_place(segmentation_to_labels(node), labels)
    exported = labelmap_node(application)
    assert slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(
        node, exported, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    image = volume_to_image(exported)
    np.testing.assert_allclose(image.ijk_to_ras, grid, atol=1e-6)
    np.testing.assert_array_equal(image.array, labels.array)


def reordered(image: Image, order: list[int], flips: tuple[bool, ...]) -> Image:
    """The same image with its axes swapped and flipped, and its matrix to match."""
    to_old = np.zeros((4, 4))
    to_old[3, 3] = 1
    array = image.array.transpose([2 - order[2], 2 - order[1], 2 - order[0]])
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        to_old[old, new] = -1 if flip else 1
        if flip:
            to_old[old, 3] = image.shape_ijk[old] - 1
            array = np.flip(array, 2 - new)
    return Image(np.ascontiguousarray(array), image.ijk_to_ras @ to_old)


@given(matrix=matrices(), shift=st.tuples(*[st.floats(-100, 100)] * 3), angle=st.floats(-3, 3))
@FEW
def test_the_segmentation_moves_with_the_volume(application, matrix, shift, angle):
    volume_node = add_volume(application, matrix)
    moved = np.eye(4)
    moved[:3, :3] = rotation((angle, 0.3, 0.0))
    moved[:3, 3] = shift
    volume_node.SetAndObserveTransformNodeID(add_transform(application, moved).GetID())
    image = volume_to_image(volume_node)
    node = add_segmentation(application)
    put(box_labels(image.ijk_to_ras), records(1), node, volume_node)
    assert node.GetTransformNodeID() == volume_node.GetTransformNodeID()
    ours, volumes = np.zeros(3), np.zeros(3)
    for point in ([0, 0, 0], [40, -30, 20]):
        node.TransformPointToWorld(point, ours)
        volume_node.TransformPointToWorld(point, volumes)
        np.testing.assert_allclose(ours, volumes, atol=1e-9)


def test_a_moved_segmentation_covers_the_moved_volume(application):
    volume_node = add_volume(application, STRAIGHT)
    moved = np.eye(4)
    moved[:3, 3] = [10, 20, 30]
    volume_node.SetAndObserveTransformNodeID(add_transform(application, moved).GetID())
    node = add_segmentation(application)
    put(Image(np.ones(SHAPE, np.uint8), STRAIGHT), records(1), node, volume_node)
    ours, volumes = np.zeros(6), np.zeros(6)
    node.GetRASBounds(ours)
    volume_node.GetRASBounds(volumes)
    np.testing.assert_allclose(ours, volumes, atol=1e-6)


def test_a_stale_transform_is_dropped(application):
    node = add_segmentation(application)
    node.SetAndObserveTransformNodeID(add_transform(application, np.diag([1, 1, -1, 1.0])).GetID())
    put(box_labels(STRAIGHT), records(1), node, add_volume(application, STRAIGHT))
    assert node.GetTransformNodeID() is None


def test_the_volume_is_the_reference_geometry(application):
    volume_node = add_volume(application, STRAIGHT)
    node = add_segmentation(application)
    put(box_labels(STRAIGHT), records(1), node, volume_node)
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReferenceID(role) == volume_node.GetID()
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometry = node.GetSegmentation().GetConversionParameter(name)
    assert [float(value) for value in geometry.split(";")[-7:-1]] == [0, 12, 0, 10, 0, 8]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_117_structures_keep_ids_names_colours_and_codes(application, dtype):
    labels = many_labels(dtype=dtype)
    node = add_segmentation(application)
    put(labels, records(117), node)
    assert segment_ids(node) == [record.id for record in records(117)]
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    for record in records(117):
        segment = node.GetSegmentation().GetSegment(record.id)
        assert segment.GetName() == record.name
        assert segment.GetLabelValue() == record.label
        assert segment.GetTerminology() == record.terminology
        np.testing.assert_allclose(segment.GetColor(), np.array(record.color) / 255)
    assert node.GetDisplayNode() is not None
    at_same_place(segmentation_to_labels(node), labels)


def test_labels_above_255(application):
    labels = box_labels(STRAIGHT, np.uint16)
    labels.array[labels.array == 1] = 4711
    record = dataclasses.replace(records(1)[0], label=4711)
    node = add_segmentation(application)
    put(labels, [record], node)
    assert node.GetSegmentation().GetSegment(record.id).GetLabelValue() == 4711
    at_same_place(segmentation_to_labels(node), box_labels(STRAIGHT))


def test_no_voxel_is_copied_and_the_array_lives_as_long_as_the_node(application):
    labels = box_labels(STRAIGHT)
    expected = np.count_nonzero(labels.array)
    node = add_segmentation(application)
    put(labels, records(1), node)
    inside = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "structure_1")
    assert np.shares_memory(inside, labels.array)
    del inside, labels
    gc.collect()
    junk = [np.full(SHAPE, 7, np.uint8) for _ in range(100)]  # would take freed memory
    assert np.count_nonzero(segmentation_to_labels(node).array == 1) == expected
    del junk


def test_memory_that_must_not_be_written_is_copied(application):
    labels = box_labels(STRAIGHT)
    labels.array.flags.writeable = False
    node = add_segmentation(application)
    put(labels, records(1), node)
    inside = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "structure_1")
    assert not np.shares_memory(inside, labels.array)


def test_surfaces_can_be_made_and_keep_what_the_user_chose(application):
    node = add_segmentation(application)
    node.GetSegmentation().SetConversionParameter("Smoothing factor", "0.0")
    put(box_labels(STRAIGHT), records(1), node, add_volume(application, STRAIGHT))
    assert node.GetSegmentation().GetConversionParameter("Smoothing factor") == "0.0"
    assert node.CreateClosedSurfaceRepresentation()
    surface = node.GetClosedSurfaceInternalRepresentation("structure_1")
    assert surface.GetNumberOfPoints() > 0


def test_an_import_replaces_all_of_the_former_content(application):
    node = add_segmentation(application)
    put(many_labels(), records(117), node)
    before = take_snapshot(node)
    put(box_labels(STRAIGHT), records(1), node, add_volume(application, STRAIGHT))
    assert segment_ids(node) == ["structure_1"]
    restore_snapshot(node, before)
    assert len(segment_ids(node)) == 117
    assert node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()) is None
    at_same_place(segmentation_to_labels(node), many_labels())


@pytest.mark.parametrize(
    ("labels", "segments", "error"),
    [
        (box_labels(STRAIGHT), records(1) * 2, ValueError),
        (
            box_labels(STRAIGHT),
            [records(1)[0], dataclasses.replace(records(2)[1], label=1)],
            ValueError,
        ),
        (Image(np.full(SHAPE, -1, np.int16), STRAIGHT), records(1), InputError),
        (Image(np.full(SHAPE, 0.5, np.float32), STRAIGHT), records(1), InputError),
    ],
)
def test_bad_labels_change_nothing(application, labels, segments, error):
    node = add_segmentation(application)
    put(many_labels(), records(117), node)
    content = node.GetSegmentation()
    with pytest.raises(error):
        put(labels, segments, node, add_volume(application, STRAIGHT))
    assert node.GetSegmentation() is content
    assert len(segment_ids(node)) == 117


def test_a_failure_at_the_end_changes_nothing(application, monkeypatch):
    def fail(*_):
        raise RuntimeError("no place")

    node = add_segmentation(application)
    put(many_labels(), records(117), node)
    content, transform = node.GetSegmentation(), add_transform(application, np.eye(4))
    node.SetAndObserveTransformNodeID(transform.GetID())
    monkeypatch.setattr(segmentations, "_place_beside", fail)
    with pytest.raises(RuntimeError):
        put(box_labels(STRAIGHT), records(1), node, add_volume(application, STRAIGHT))
    assert node.GetSegmentation() is content
    assert node.GetTransformNodeID() == transform.GetID()
    assert node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()) is None
    assert not node.GetDisableModifiedEvent()


def test_views_hear_of_an_import_a_few_times_only(application):
    """Slicer updates every view at every event, which took 16 s for 117 segments one by one."""
    node = add_segmentation(application)
    node.CreateDefaultDisplayNodes()
    events: list[str] = []
    node.AddObserver("AnyEvent", lambda _caller, event: events.append(event))
    put(many_labels(), records(117), node, add_volume(application, STRAIGHT))
    assert len(events) < 50


def test_the_segmentation_lies_in_the_volumes_folder(application):
    hierarchy = application.scene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
    volume_node = add_volume(application, STRAIGHT)
    hierarchy.CreateItem(folder, volume_node)
    node = add_segmentation(application)
    put(box_labels(STRAIGHT), records(1), node, volume_node)
    item = hierarchy.GetItemByDataNode(node)
    assert item and hierarchy.GetItemParent(item) == folder


def test_a_folder_that_the_user_chose_is_kept(application):
    hierarchy = application.scene.GetSubjectHierarchyNode()
    root = hierarchy.GetSceneItemID()
    volume_node, node = add_volume(application, STRAIGHT), add_segmentation(application)
    hierarchy.CreateItem(hierarchy.CreateFolderItem(root, "Study"), volume_node)
    chosen = hierarchy.CreateFolderItem(root, "Results")
    hierarchy.CreateItem(chosen, node)
    put(box_labels(STRAIGHT), records(1), node, volume_node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == chosen


@given(matrix=matrices())
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_saved_and_loaded_again_it_is_the_same(application, tmp_path, matrix):
    labels = Image(many_labels().array, matrix)
    node = add_segmentation(application)
    put(labels, records(117), node)
    application.save_segmentation(node, tmp_path / "saved.seg.nrrd")
    assert [path.name for path in tmp_path.iterdir()] == ["saved.seg.nrrd"]
    same_segments(application.load_segmentation(tmp_path / "saved.seg.nrrd"), labels)


def test_slicer_reads_the_file_that_the_library_writes(application, tmp_path):
    labels = many_labels()
    write_segmentation(
        [Layer(labels, records(117))], tmp_path / "written.seg.nrrd", {"engine": "test"}
    )
    same_segments(application.load_segmentation(tmp_path / "written.seg.nrrd"), labels)


def same_segments(node, labels: Image) -> None:
    assert segment_ids(node) == [record.id for record in records(117)]
    for record in records(117):
        segment = node.GetSegmentation().GetSegment(record.id)
        assert segment.GetName() == record.name
        # Slicer's reader and writer leave the closing bar of an entry to the next one.
        assert segment.GetTerminology().rstrip("|") == record.terminology.rstrip("|")
        np.testing.assert_allclose(segment.GetColor(), np.array(record.color) / 255, atol=1e-5)
    at_same_place(segmentation_to_labels(node), labels)


def test_what_is_not_a_segmentation_is_not_loaded(application, tmp_path):
    count = application.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    with pytest.raises(InputError) as caught:
        application.load_segmentation(tmp_path / "missing.seg.nrrd")
    assert caught.value.code == "input.not_a_segmentation"
    assert application.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count


# --- modes: append and update ---

MODES = ("replace", "append", "update")
USER = "My drawing"


def user_node(application):
    """Three segments of an earlier run in one labelmap, and two that a user has drawn.

    One has a labelmap of its own, one shares that of the earlier run, as the editor does it.
    """
    node = add_segmentation(application)
    array = np.zeros(SHAPE, np.uint8)
    array[1:3], array[3:5], array[5:7] = 1, 2, 3
    put(Image(array, STRAIGHT), records(3), node, provenance={"task": "total"})
    segmentation = node.GetSegmentation()
    shared = segmentation.GetSegment("structure_1").GetRepresentation("Binary labelmap")
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "structure_1")[8, 2:5] = 9
    own = slicer.vtkOrientedImageData()
    own.DeepCopy(shared)
    for id, label, labelmap in (("drawn_shared", 9, shared), ("drawn_apart", 1, own)):
        segment = slicer.vtkSegment()
        segment.SetName(f"{USER} {id}")
        segment.NameAutoGeneratedOff()
        segment.SetColor(0.125, 0.25, 0.5)
        segment.SetTag("My.tag", f"tag of {id}")
        segment.SetLabelValue(label)
        segment.AddRepresentation("Binary labelmap", labelmap)
        assert segmentation.AddSegment(segment, id)
    node.CreateDefaultDisplayNodes()
    return node


def tag(segment, name: str) -> str:
    value = vtk.reference("")
    segment.GetTag(name, value)
    return str(value)


def described(node, ids=None) -> dict:
    """All that a segment is, by id; voxels by their place."""
    result = {}
    for id in ids or segment_ids(node):
        segment = node.GetSegmentation().GetSegment(id)
        labelmap = segment.GetRepresentation("Binary labelmap")
        matrix = vtk.vtkMatrix4x4()
        labelmap.GetImageToWorldMatrix(matrix)
        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()) == segment.GetLabelValue()
        result[id] = (
            segment.GetName(),
            segment.GetColor(),
            segment.GetNameAutoGenerated(),
            [tag(segment, t) for t in ("My.tag", ID_TAG, GROUP_TAG, "TerminologyEntry")],
            segment.GetLabelValue(),
            labelmap.GetExtent(),
            matrix_to_array(matrix).tolist(),
            voxels.tobytes(),
        )
    return result


def voxels_of(node, id: str) -> int:
    labelmap = slicer.vtkOrientedImageData()
    assert node.GetBinaryLabelmapRepresentation(id, labelmap)
    return np.count_nonzero(vtk_to_numpy(labelmap.GetPointData().GetScalars()))


def node_state(node) -> dict:
    role = node.GetReferenceImageGeometryReferenceRole()
    display = node.GetDisplayNode()
    return {
        "segments": described(node),
        "order": segment_ids(node),
        "layers": node.GetSegmentation().GetNumberOfLayers(),
        "transform": node.GetTransformNodeID(),
        "reference": node.GetNodeReferenceID(role),
        "attributes": {key: node.GetAttribute(key) for key in node.GetAttributeNames()},
        "display": display
        and {
            id: (display.GetSegmentVisibility(id), display.GetSegmentOpacity3D(id))
            for id in segment_ids(node)
        },
    }


def result_layer(*numbers: int, matrix=STRAIGHT, looked_for=()) -> Layer:
    """Structures of one run, each in a place of its own that no earlier one has."""
    array = np.zeros(SHAPE, np.uint8)
    for n in numbers:
        array[:, n, 4:7] = n
    found = tuple(record for record in records(10) if record.label in numbers)
    names = {n: f"structure_{n}" for n in (*numbers, *looked_for)}
    return Layer(Image(array, matrix), found, names)


@pytest.mark.parametrize("mode", ["append", "update"])
def test_other_segments_are_untouched(application, mode):
    node = user_node(application)
    before = node_state(node)
    import_layers([result_layer(5, 6)], node, add_volume(application, STRAIGHT), mode)
    after = node_state(node)
    assert after["order"] == [*before["order"], "structure_5", "structure_6"]
    assert {id: after["segments"][id] for id in before["order"]} == before["segments"]
    assert after["layers"] == before["layers"] + 1
    segmentation = node.GetSegmentation()
    sharing = [segmentation.GetLayerIndex(id) for id in segment_ids(node)]
    assert sharing == [0, 0, 0, 0, 1, 2, 2]


def test_appended_segments_get_ids_and_names_that_are_free(application):
    node = add_segmentation(application)
    rib, second = records(2)
    rib = dataclasses.replace(rib, id="rib_left", name="Left rib")
    second = dataclasses.replace(second, id="rib_left_2", name="Left rib 2")
    labels = many_labels(2)
    for _ in range(3):
        put(Image(labels.array.copy(), STRAIGHT), [rib, second], node, mode="append")
    ids = ["rib_left", "rib_left_2", "rib_left.2", "rib_left_2.2", "rib_left.3", "rib_left_2.3"]
    assert segment_ids(node) == ids
    segments = [node.GetSegmentation().GetSegment(id) for id in ids]
    assert [segment.GetName() for segment in segments] == [
        *("Left rib", "Left rib 2", "Left rib (2)", "Left rib 2 (2)"),
        *("Left rib (3)", "Left rib 2 (3)"),
    ]
    assert [tag(segment, ID_TAG) for segment in segments] == ["rib_left", "rib_left_2"] * 3
    assert [segment.GetLabelValue() for segment in segments] == [1, 2] * 3


def test_a_name_that_a_user_has_given_already_is_not_given_again(application):
    node = user_node(application)
    node.GetSegmentation().GetSegment("drawn_apart").SetName("Structure 5")
    import_layers([result_layer(5)], node, None, "update")
    assert node.GetSegmentation().GetSegment("structure_5").GetName() == "Structure 5 (2)"


def test_an_update_replaces_in_place_and_keeps_how_the_user_shows_it(application):
    node = user_node(application)
    display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
    display.SetSegmentVisibility("structure_2", False)
    display.SetSegmentOpacity3D("structure_2", 0.25)
    segmentation.GetSegment("structure_2").SetColor(0.5, 1, 0)
    segmentation.GetSegment("structure_2").SetName("An older name")
    order, kept = segment_ids(node), ["structure_1", "structure_3", "drawn_shared", "drawn_apart"]
    before = described(node, kept)
    layer = result_layer(2, 5)
    import_layers([layer], node, add_volume(application, STRAIGHT), "update")
    assert segment_ids(node) == [*order, "structure_5"]
    assert described(node, kept) == before
    assert display.GetSegmentVisibility("structure_2") is False
    assert display.GetSegmentOpacity3D("structure_2") == 0.25
    assert display.GetSegmentVisibility("structure_5") is True
    segment = node.GetSegmentation().GetSegment("structure_2")
    assert segment.GetColor() == (0.5, 1, 0)
    assert segment.GetName() == "Structure 2"
    inside = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "structure_2")
    assert np.shares_memory(inside, layer.labels.array)


def test_voxels_of_what_goes_do_not_stay_in_a_shared_labelmap(application):
    node = user_node(application)
    import_layers([result_layer(2, looked_for=[3])], node, None, "update")
    inside = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "structure_1")
    assert set(np.unique(inside)) == {0, 1, 9}
    # Slicer puts an empty segment into the first labelmap, with a label that is free there.
    assert voxels_of(node, node.GetSegmentation().AddEmptySegment("added")) == 0


def test_voxels_that_another_segment_shows_too_stay(application):
    node = user_node(application)
    first = node.GetSegmentation().GetSegment("structure_2")
    twin = slicer.vtkSegment()
    twin.DeepCopyMetadata(first)
    twin.AddRepresentation("Binary labelmap", first.GetRepresentation("Binary labelmap"))
    node.GetSegmentation().AddSegment(twin, "twin")
    before = described(node, ["twin"])
    import_layers([result_layer(2)], node, None, "update")
    assert described(node, ["twin"]) == before


def test_an_update_removes_what_is_no_longer_found_if_it_came_from_us(application):
    node = user_node(application)
    theirs = slicer.vtkSegment()
    theirs.DeepCopy(node.GetSegmentation().GetSegment("drawn_apart"))
    node.GetSegmentation().AddSegment(theirs, "structure_7")
    layers = [result_layer(5, looked_for=[1, 7])]
    import_layers(layers, node, None, "update")
    assert segment_ids(node) == [
        *("structure_2", "structure_3", "drawn_shared", "drawn_apart", "structure_7"),
        "structure_5",
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_result_in_which_nothing_was_found(application, mode):
    node = user_node(application)
    before = described(node)
    import_layers([result_layer(looked_for=[1, 5])], node, add_volume(application, STRAIGHT), mode)
    gone = {"replace": set(before), "append": set(), "update": {"structure_1"}}[mode]
    assert described(node) == {id: state for id, state in before.items() if id not in gone}


def test_an_empty_segment_is_kept(application):
    node = add_segmentation(application)
    node.GetSegmentation().AddEmptySegment("empty", "Empty")
    import_layers([result_layer(5)], node, add_volume(application, STRAIGHT), "append")
    assert segment_ids(node) == ["empty", "structure_5"]
    assert np.count_nonzero(segmentation_to_labels(node).array == 2) == SHAPE[0] * 3


def test_contours_of_another_program_are_not_turned_into_labelmaps(application):
    node = user_node(application)
    assert node.CreateClosedSurfaceRepresentation()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    content = node.GetSegmentation()
    with pytest.raises(InputError) as caught:
        import_layers([result_layer(5)], node, None, "append")
    assert caught.value.code == "output.not_labelmaps"
    assert node.GetSegmentation() is content
    import_layers([result_layer(5)], node, None, "replace")
    assert segment_ids(node) == ["structure_5"]


def test_surfaces_of_earlier_segments_are_not_made_for_all_the_new_ones(application):
    node = user_node(application)
    assert node.CreateClosedSurfaceRepresentation()
    import_layers([result_layer(5)], node, None, "append")
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert node.CreateClosedSurfaceRepresentation()
    for id in segment_ids(node):
        assert node.GetClosedSurfaceInternalRepresentation(id).GetNumberOfPoints() > 0


# --- layers ---


def overlapping() -> list[Layer]:
    """A vessel in an organ, which two tasks have found; the same label in both layers."""
    organ, vessel = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    organ[1:8, 1:10, 1:12] = 1
    vessel[3:5, 3:5, 3:9] = 1
    liver, vessels = records(1)[0], records(2)[1]
    liver = dataclasses.replace(liver, id="liver", name="Liver")
    vessels = dataclasses.replace(vessels, id="liver_vessels", name="Liver vessels", label=1)
    return [
        Layer(Image(organ, STRAIGHT), (liver,), {1: "liver"}),
        Layer(Image(vessel, STRAIGHT), (vessels,), {1: "liver_vessels"}),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_layers_keep_what_overlaps_without_a_copy(application, mode):
    node, layers = add_segmentation(application), overlapping()
    import_layers(layers, node, add_volume(application, STRAIGHT), mode)
    assert segment_ids(node) == ["liver", "liver_vessels"]
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    for layer in layers:
        id = layer.segments[0].id
        inside = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, id)
        assert np.shares_memory(inside, layer.labels.array)
        assert voxels_of(node, id) == np.count_nonzero(layer.labels.array)


@pytest.mark.parametrize("order", [1, -1])
def test_in_one_labelmap_the_later_layer_wins(application, order):
    layers = overlapping()[::order]
    shown = np.where(layers[1].labels.array > 0, 2, layers[0].labels.array)
    volume_node, node = add_volume(application, STRAIGHT), add_segmentation(application)
    import_layers(layers, node, volume_node)
    exported = labelmap_node(application)
    export = slicer.vtkSlicerSegmentationsModuleLogic.ExportVisibleSegmentsToLabelmapNode
    assert export(node, exported, volume_node)
    np.testing.assert_array_equal(volume_to_image(exported).array, shown)
    at_same_place(segmentation_to_labels(node), Image(shown, STRAIGHT))


def test_segments_tell_their_structure_and_group(application):
    node = add_segmentation(application)
    stranger = dataclasses.replace(records(2)[1], id="my_own_class")
    layer = overlapping()[0]
    put(many_labels(2), [layer.segments[0], stranger], node)
    liver, other = (node.GetSegmentation().GetSegment(id) for id in ("liver", "my_own_class"))
    assert tag(liver, ID_TAG) == "liver"
    assert tag(liver, GROUP_TAG) == catalog.structure("liver").group != ""
    assert tag(liver, "TerminologyEntry") == layer.segments[0].terminology
    assert tag(other, ID_TAG) == "my_own_class"
    assert not other.HasTag(GROUP_TAG)


def test_layers_tags_and_names_are_saved(application, tmp_path):
    node, layers = user_node(application), overlapping()
    import_layers(layers, node, add_volume(application, STRAIGHT), "append")
    application.save_segmentation(node, tmp_path / "saved.seg.nrrd")
    loaded = application.load_segmentation(tmp_path / "saved.seg.nrrd")
    assert segment_ids(loaded) == segment_ids(node)
    for id in segment_ids(node):
        ours, theirs = (n.GetSegmentation().GetSegment(id) for n in (node, loaded))
        assert theirs.GetName() == ours.GetName()
        np.testing.assert_allclose(theirs.GetColor(), ours.GetColor(), atol=1e-5)
        for name in ("My.tag", ID_TAG, GROUP_TAG):
            assert tag(theirs, name) == tag(ours, name)
        assert voxels_of(loaded, id) == voxels_of(node, id) > 0


def test_a_loaded_segmentation_is_offered_for_saving_after_an_import(application, tmp_path):
    application.save_segmentation(user_node(application), tmp_path / "saved.seg.nrrd")
    node = application.load_segmentation(tmp_path / "saved.seg.nrrd")
    assert not node.GetModifiedSinceRead()
    import_layers([result_layer(5)], node)
    assert node.GetModifiedSinceRead()


@pytest.mark.parametrize(
    ("layers", "mode"),
    [
        ([result_layer(1), result_layer(1)], "replace"),
        ([result_layer(1)], "merge"),
    ],
)
def test_wrong_calls(application, layers, mode):
    node = user_node(application)
    before = node_state(node)
    with pytest.raises(ValueError):
        import_layers(layers, node, None, mode)
    assert node_state(node) == before


# --- undo ---


def edit(node) -> None:
    """What people do after an import, in place as the Segment Editor does it."""
    for id in segment_ids(node):
        segment = node.GetSegmentation().GetSegment(id)
        slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, id)[:] = segment.GetLabelValue()
        segment.SetName("edited")
        segment.SetColor(1, 1, 1)
        segment.SetTag("My.tag", "edited")
        node.GetDisplayNode().SetSegmentVisibility(id, False)
    node.GetSegmentation().AddEmptySegment("added")
    node.GetSegmentation().RemoveSegment(segment_ids(node)[0])


@pytest.mark.parametrize("mode", MODES)
def test_an_undo_after_edits_brings_back_what_was_before_the_import(application, mode):
    node = user_node(application)
    node.SetAndObserveTransformNodeID(add_transform(application, np.diag([1, 1, -1, 1.0])).GetID())
    node.GetDisplayNode().SetSegmentVisibility("drawn_apart", False)
    node.GetDisplayNode().SetSegmentOpacity3D("structure_1", 0.25)
    node.SetAttribute("Mine", "stays")
    before, snapshot = node_state(node), take_snapshot(node)
    layer = result_layer(1, 2, 5, looked_for=[3])
    import_layers([layer], node, add_volume(application, STRAIGHT), mode, {"task": "other"})
    assert node_state(node) != before
    edit(node)
    edited = node_state(node)
    undone = restore_snapshot(node, snapshot)
    assert node_state(node) == before
    again = restore_snapshot(node, undone)
    assert node_state(node) == edited
    restore_snapshot(node, again)
    assert node_state(node) == before
    assert not node.GetDisableModifiedEvent()


def test_a_snapshot_copies_no_voxels(application):
    node, labels = add_segmentation(application), box_labels(STRAIGHT)
    put(labels, records(1), node)
    snapshot = take_snapshot(node)
    put(box_labels(STRAIGHT), records(1), node)
    restore_snapshot(node, snapshot)
    inside = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "structure_1")
    assert np.shares_memory(inside, labels.array)


def test_a_snapshot_keeps_no_removed_node(application):
    node, scene = user_node(application), application.scene
    volume_node = add_volume(application, STRAIGHT)
    volume_node.SetAndObserveTransformNodeID(add_transform(application, np.eye(4)).GetID())
    import_layers([result_layer(5)], node, volume_node)
    snapshot = take_snapshot(node)
    import_layers([result_layer(6)], node)
    scene.RemoveNode(volume_node.GetParentTransformNode())
    scene.RemoveNode(volume_node)
    del volume_node
    gc.collect()
    assert snapshot.geometry.Get() is None
    restore_snapshot(node, snapshot)
    assert node.GetTransformNodeID() is None
    assert node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()) is None


@pytest.mark.parametrize("leave", ["import", "node", "snapshot"])
def test_content_is_deleted_without_a_copy_for_each_segment(application, leave):
    """Slicer takes 23 s to copy them for 117 segments of a usual volume."""
    node, labels = add_segmentation(application), many_labels()
    expected = labels.array.copy()
    put(labels, records(117), node)
    held = [node.GetSegmentation().GetNthSegment(n) for n in (0, 50, 116)]
    snapshot = take_snapshot(node) if leave == "snapshot" else None
    if leave == "node":
        application.scene.RemoveNode(node)
        del node
    else:
        put(box_labels(STRAIGHT), records(1), node)
    del snapshot
    gc.collect()
    for segment in held:
        labelmap = segment.GetRepresentation("Binary labelmap")
        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars())
        assert np.shares_memory(voxels, labels.array)
        assert labelmap.GetReferenceCount() == 2  # its segment's and ours
    np.testing.assert_array_equal(labels.array, expected)


@pytest.mark.parametrize("mode", ["append", "update"])
def test_where_segments_stay_their_provenance_stays_and_a_demo_is_marked(application, mode):
    node = add_segmentation(application)
    labels = box_labels(STRAIGHT)
    put(labels, records(1), node, provenance={"task": "demo", "demo": "true"})
    other = [dataclasses.replace(records(2)[1], label=1)]
    put(labels, other, node, mode=mode, provenance={"task": "total", "demo": "false"})
    assert node.GetAttribute("TotalSegmentator.task") == "total"
    assert node.GetAttribute("TotalSegmentator.demo") == "true"
    earlier = json.loads(node.GetAttribute("TotalSegmentator.earlier"))
    assert earlier == [{"task": "demo", "demo": "true"}]
    put(labels, records(1), node, mode="replace", provenance={"task": "body", "demo": "false"})
    assert node.GetAttribute("TotalSegmentator.demo") == "false"
    assert node.GetAttribute("TotalSegmentator.earlier") is None


def test_provenance_is_that_of_the_last_import(application):
    node = add_segmentation(application)
    node.SetAttribute("Mine", "stays")
    put(box_labels(STRAIGHT), records(1), node, provenance={"task": "total", "device": "cpu"})
    assert node.GetAttribute("TotalSegmentator.device") == "cpu"
    put(box_labels(STRAIGHT), records(1), node, provenance={"task": "body"})
    assert node.GetAttribute("TotalSegmentator.task") == "body"
    assert node.GetAttribute("TotalSegmentator.device") is None
    assert node.GetAttribute("Mine") == "stays"


def fail(*_):
    raise RuntimeError("a failure in the middle")


def fail_at_the_second(original):
    calls: list[int] = []

    def wrapped(*arguments):
        calls.append(1)
        return original(*arguments) if len(calls) == 1 else fail()

    return wrapped


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("place", ["_new_segment", "_place_beside", "_set_own_attributes"])
@pytest.mark.parametrize("displayed", [True, False])
def test_a_failure_in_the_middle_changes_nothing(application, monkeypatch, mode, place, displayed):
    node = user_node(application)
    volume_node = add_volume(application, STRAIGHT)
    volume_node.SetAndObserveTransformNodeID(add_transform(application, np.eye(4)).GetID())
    if not displayed:
        application.scene.RemoveNode(node.GetDisplayNode())
    before, content = node_state(node), node.GetSegmentation()
    nodes = application.scene.GetNumberOfNodes()
    original = getattr(segmentations, place)
    if place == "_new_segment":
        monkeypatch.setattr(segmentations, place, fail_at_the_second(original))
    elif place == "_place_beside":
        monkeypatch.setattr(segmentations, place, fail)
    else:  # called again to put things back
        calls = iter([fail])
        monkeypatch.setattr(segmentations, place, lambda *a: next(calls, original)(*a))
    with pytest.raises(RuntimeError, match="in the middle"):
        import_layers([result_layer(1, 2, 5)], node, volume_node, mode, {"task": "other"})
    assert node.GetSegmentation() is content
    assert node_state(node) == before
    assert application.scene.GetNumberOfNodes() == nodes
    assert not node.GetDisableModifiedEvent()


@pytest.mark.parametrize("mode", MODES)
def test_a_second_layer_that_is_no_labelmap_changes_nothing(application, mode):
    node = user_node(application)
    before = node_state(node)
    bad = Layer(Image(np.full(SHAPE, 0.5, np.float32), STRAIGHT), tuple(records(6)[5:]))
    with pytest.raises(InputError):
        import_layers([result_layer(1, 5), bad], node, None, mode)
    assert node_state(node) == before


# --- transforms ---


@st.composite
def moves(draw) -> np.ndarray:
    """A linear transform: rotation, shift, and sizes that may differ by direction."""
    move = np.eye(4)
    angles = [draw(st.floats(-3, 3)) for _ in range(3)]
    move[:3, :3] = rotation(tuple(angles)) @ np.diag([draw(st.floats(0.5, 2)) for _ in range(3)])
    move[:3, 3] = [draw(st.floats(-200, 200)) for _ in range(3)]
    return move


def world_corners(node, id: str, corners: np.ndarray) -> np.ndarray:
    """Where voxels (n, 3) ijk of a segment's labelmap lie in the world."""
    matrix = vtk.vtkMatrix4x4()
    segment = node.GetSegmentation().GetSegment(id)
    segment.GetRepresentation("Binary labelmap").GetImageToWorldMatrix(matrix)
    points = (matrix_to_array(matrix) @ np.c_[corners, np.ones(len(corners))].T).T[:, :3]
    result = np.zeros_like(points)
    for point, world in zip(points, result, strict=True):
        node.TransformPointToWorld(point, world)
    return result


CORNERS = np.array([[0, 0, 0], [12, 0, 0], [0, 10, 0], [0, 0, 8.0]])


@given(grid=matrices(), of_volume=st.none() | moves(), of_node=st.none() | moves())
@FEW
def test_appended_structures_lie_where_the_volume_is(application, grid, of_volume, of_node):
    volume_node, node = add_volume(application, grid), user_node(application)
    for moved, move in ((volume_node, of_volume), (node, of_node)):
        if move is not None:
            moved.SetAndObserveTransformNodeID(add_transform(application, move).GetID())
    place, transform = world_corners(node, "structure_1", CORNERS), node.GetTransformNodeID()
    import_layers([result_layer(5, matrix=grid)], node, volume_node, "append")
    assert node.GetTransformNodeID() == transform
    np.testing.assert_array_equal(world_corners(node, "structure_1", CORNERS), place)
    to_world = np.eye(4) if of_volume is None else of_volume
    expected = (to_world @ grid @ np.c_[CORNERS, np.ones(4)].T).T[:, :3]
    np.testing.assert_allclose(world_corners(node, "structure_5", CORNERS), expected, atol=1e-6)


@given(grid=matrices(), move=moves(), former=moves())
@FEW
def test_exported_to_the_reference_geometry_a_moved_result_is_on_the_volumes_grid(
    application, grid, move, former
):
    volume_node, node = add_volume(application, grid), add_segmentation(application)
    node.SetAndObserveTransformNodeID(add_transform(application, former).GetID())
    volume_node.SetAndObserveTransformNodeID(add_transform(application, move).GetID())
    put(box_labels(grid), records(1), node, volume_node)
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometry = node.GetSegmentation().GetConversionParameter(name)
    values = np.array([float(value) for value in geometry.split(";")[:16]]).reshape(4, 4)
    np.testing.assert_allclose(values, grid, atol=1e-3)


def test_a_segmentation_with_segments_keeps_its_reference_geometry(application):
    first, second = add_volume(application, STRAIGHT), add_volume(application, np.eye(4))
    node = add_segmentation(application)
    role = node.GetReferenceImageGeometryReferenceRole()
    import_layers([result_layer(5)], node, first)
    import_layers([result_layer(6)], node, second, "append")
    assert node.GetNodeReferenceID(role) == first.GetID()
    import_layers([result_layer(6)], node, second, "replace")
    assert node.GetNodeReferenceID(role) == second.GetID()
    drawn = user_node(application)
    import_layers([result_layer(6)], drawn, second, "append")
    assert drawn.GetNodeReferenceID(role) == second.GetID()


@pytest.mark.parametrize("bent", ["volume", "segmentation"])
def test_a_bend_between_volume_and_segmentation_is_told(application, bent):
    node, volume_node = user_node(application), add_volume(application, STRAIGHT)
    bend = add_bend(application)
    moved = {"volume": volume_node, "segmentation": node}[bent]
    moved.SetAndObserveTransformNodeID(bend.GetID())
    before = node_state(node)
    with pytest.raises(InputError) as caught:
        import_layers([result_layer(5)], node, volume_node, "append")
    assert caught.value.code == "output.nonlinear_transform"
    assert node_state(node) == before
    for other in (volume_node, node):
        other.SetAndObserveTransformNodeID(bend.GetID())
    import_layers([result_layer(5)], node, volume_node, "append")
    ours, theirs = (described(node, [id])[id] for id in ("structure_5", "structure_1"))
    assert ours[6] == theirs[6] == STRAIGHT.tolist()


@pytest.mark.parametrize("mode", MODES)
def test_views_hear_of_any_import_a_few_times_only(application, mode):
    node = user_node(application)
    events: list[str] = []
    node.AddObserver("AnyEvent", lambda _caller, event: events.append(event))
    put(many_labels(), records(117), node, add_volume(application, STRAIGHT), mode)
    assert len(events) < 50
