from __future__ import annotations

import dataclasses
import gc

import numpy as np
import pytest
import slicer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene_samples import (
    SHAPE,
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

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import Image, write_segmentation
from TotalSegmentatorLib.scene import (
    import_labels,
    restore_snapshot,
    segmentation_to_labels,
    take_snapshot,
    volume_to_image,
)

STRAIGHT = np.diag([-0.8, -0.8, 2.0, 1.0])
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


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
    import_labels(labels, records(1), node)
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
    import_labels(other, records(1), node, volume_node)
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
    import_labels(box_labels(image.ijk_to_ras), records(1), node, volume_node)
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
    import_labels(Image(np.ones(SHAPE, np.uint8), STRAIGHT), records(1), node, volume_node)
    ours, volumes = np.zeros(6), np.zeros(6)
    node.GetRASBounds(ours)
    volume_node.GetRASBounds(volumes)
    np.testing.assert_allclose(ours, volumes, atol=1e-6)


def test_a_stale_transform_is_dropped(application):
    node = add_segmentation(application)
    node.SetAndObserveTransformNodeID(add_transform(application, np.diag([1, 1, -1, 1.0])).GetID())
    import_labels(box_labels(STRAIGHT), records(1), node, add_volume(application, STRAIGHT))
    assert node.GetTransformNodeID() is None


def test_the_volume_is_the_reference_geometry(application):
    volume_node = add_volume(application, STRAIGHT)
    node = add_segmentation(application)
    import_labels(box_labels(STRAIGHT), records(1), node, volume_node)
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReferenceID(role) == volume_node.GetID()
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometry = node.GetSegmentation().GetConversionParameter(name)
    assert [float(value) for value in geometry.split(";")[-7:-1]] == [0, 12, 0, 10, 0, 8]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_117_structures_keep_ids_names_colours_and_codes(application, dtype):
    labels = many_labels(dtype=dtype)
    node = add_segmentation(application)
    import_labels(labels, records(117), node)
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
    import_labels(labels, [record], node)
    assert node.GetSegmentation().GetSegment(record.id).GetLabelValue() == 4711
    at_same_place(segmentation_to_labels(node), box_labels(STRAIGHT))


def test_no_voxel_is_copied_and_the_array_lives_as_long_as_the_node(application):
    labels = box_labels(STRAIGHT)
    expected = np.count_nonzero(labels.array)
    node = add_segmentation(application)
    import_labels(labels, records(1), node)
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
    import_labels(labels, records(1), node)
    inside = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "structure_1")
    assert not np.shares_memory(inside, labels.array)


def test_surfaces_can_be_made_and_keep_what_the_user_chose(application):
    node = add_segmentation(application)
    node.GetSegmentation().SetConversionParameter("Smoothing factor", "0.0")
    import_labels(box_labels(STRAIGHT), records(1), node, add_volume(application, STRAIGHT))
    assert node.GetSegmentation().GetConversionParameter("Smoothing factor") == "0.0"
    assert node.CreateClosedSurfaceRepresentation()
    surface = node.GetClosedSurfaceInternalRepresentation("structure_1")
    assert surface.GetNumberOfPoints() > 0


def test_an_import_replaces_all_of_the_former_content(application):
    node = add_segmentation(application)
    import_labels(many_labels(), records(117), node)
    before = take_snapshot(node)
    import_labels(box_labels(STRAIGHT), records(1), node, add_volume(application, STRAIGHT))
    assert segment_ids(node) == ["structure_1"]
    restore_snapshot(node, before)
    assert len(segment_ids(node)) == 117
    assert node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()) is None
    at_same_place(segmentation_to_labels(node), many_labels())


@pytest.mark.parametrize(
    ("labels", "segments", "error"),
    [
        (box_labels(STRAIGHT), records(1) * 2, ValueError),
        (Image(np.full(SHAPE, -1, np.int16), STRAIGHT), records(1), InputError),
        (Image(np.full(SHAPE, 0.5, np.float32), STRAIGHT), records(1), InputError),
    ],
)
def test_bad_labels_change_nothing(application, labels, segments, error):
    node = add_segmentation(application)
    import_labels(many_labels(), records(117), node)
    content = node.GetSegmentation()
    with pytest.raises(error):
        import_labels(labels, segments, node, add_volume(application, STRAIGHT))
    assert node.GetSegmentation() is content
    assert len(segment_ids(node)) == 117


def test_a_failure_at_the_end_changes_nothing(application, monkeypatch):
    from TotalSegmentatorLib.scene import segmentations

    def fail(*_):
        raise RuntimeError("no place")

    node = add_segmentation(application)
    import_labels(many_labels(), records(117), node)
    content, transform = node.GetSegmentation(), add_transform(application, np.eye(4))
    node.SetAndObserveTransformNodeID(transform.GetID())
    monkeypatch.setattr(segmentations, "_place_beside", fail)
    with pytest.raises(RuntimeError):
        import_labels(box_labels(STRAIGHT), records(1), node, add_volume(application, STRAIGHT))
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
    import_labels(many_labels(), records(117), node, add_volume(application, STRAIGHT))
    assert len(events) < 50


def test_the_segmentation_lies_in_the_volumes_folder(application):
    hierarchy = application.scene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
    volume_node = add_volume(application, STRAIGHT)
    hierarchy.CreateItem(folder, volume_node)
    node = add_segmentation(application)
    import_labels(box_labels(STRAIGHT), records(1), node, volume_node)
    item = hierarchy.GetItemByDataNode(node)
    assert item and hierarchy.GetItemParent(item) == folder


def test_a_folder_that_the_user_chose_is_kept(application):
    hierarchy = application.scene.GetSubjectHierarchyNode()
    root = hierarchy.GetSceneItemID()
    volume_node, node = add_volume(application, STRAIGHT), add_segmentation(application)
    hierarchy.CreateItem(hierarchy.CreateFolderItem(root, "Study"), volume_node)
    chosen = hierarchy.CreateFolderItem(root, "Results")
    hierarchy.CreateItem(chosen, node)
    import_labels(box_labels(STRAIGHT), records(1), node, volume_node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == chosen


@given(matrix=matrices())
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_saved_and_loaded_again_it_is_the_same(application, tmp_path, matrix):
    labels = Image(many_labels().array, matrix)
    node = add_segmentation(application)
    import_labels(labels, records(117), node)
    application.save_segmentation(node, tmp_path / "saved.seg.nrrd")
    assert [path.name for path in tmp_path.iterdir()] == ["saved.seg.nrrd"]
    same_segments(application.load_segmentation(tmp_path / "saved.seg.nrrd"), labels)


def test_slicer_reads_the_file_that_the_library_writes(application, tmp_path):
    labels = many_labels()
    write_segmentation(labels, tmp_path / "written.seg.nrrd", records(117), {"engine": "test"})
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
