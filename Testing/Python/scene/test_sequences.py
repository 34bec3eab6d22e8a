from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
import slicer
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene_samples import (
    add_bend,
    add_segmentation,
    add_transform,
    add_volume,
    matrices,
    records,
    segment_ids,
)

from TotalSegmentatorLib.errors import CancelledError, InputError
from TotalSegmentatorLib.images import Image, Layer
from TotalSegmentatorLib.images.frames import parse_frames
from TotalSegmentatorLib.scene import (
    browser_state,
    find_sequence,
    image_to_volume,
    import_frames,
    import_layers,
    read_frames,
    segmentation_to_labels,
)
from TotalSegmentatorLib.scene import sequences as module
from TotalSegmentatorLib.scene.volumes import matrix_to_array

COUNT = 4
SHAPE = (6, 8, 20)
STRAIGHT = np.diag([-0.8, -0.8, 2.0, 1.0])
FEW = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def moving_box(index: int, matrix: np.ndarray = STRAIGHT) -> Image:
    """A bright box that moves 3 voxels along i from frame to frame."""
    array = np.full(SHAPE, -1000, np.int16)
    array[2:4, 3:6, 3 * index + 1 : 3 * index + 4] = 100 + index
    return Image(array, matrix)


def layer_of(image: Image, count: int = 1) -> list[Layer]:
    """A segmentation that is computed from the voxels, not from the frame's number."""
    labels = image.with_array((image.array > 0).astype(np.uint8))
    return [Layer(labels, tuple(records(count)))]


@dataclass
class Sequence:
    """A volume that changes, as Slicer's reader leaves it."""

    application: object
    logic: object
    browser: object
    volume: object
    node: object

    @property
    def scene(self):
        return self.application.scene

    def show(self, index: int) -> None:
        self.browser.SetSelectedItemNumber(index)
        self.logic.UpdateProxyNodesFromSequences(self.browser)

    def results(self, *indices: int, count: int = 1):
        """Frames segmented one by one, as a run does it."""
        for frame in read_frames(self.browser, self.volume, indices or None):
            yield frame, layer_of(frame.view()[0], count)

    def import_results(self, *indices: int, node=None, **options):
        return import_frames(self.results(*indices), self.browser, self.volume, node, **options)


def sequences_logic(application):
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLApplicationLogic(application.logic)
    logic.SetMRMLScene(application.scene)
    return logic


def make_sequence(application, images: list[Image], values=None, kind: int = 0) -> Sequence:
    logic = sequences_logic(application)
    scene = application.scene
    node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Moving")
    node.SetIndexName("phase")
    node.SetIndexUnit("%")
    node.SetIndexType(kind)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Moving")
    for index, image in enumerate(images):
        image_to_volume(image, volume)
        node.SetDataNodeAtValue(volume, values[index] if values else str(10 * index))
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(node.GetID())
    browser.AddProxyNode(volume, node, False)
    sequence = Sequence(application, logic, browser, volume, node)
    sequence.show(0)
    return sequence


@pytest.fixture()
def moving(application) -> Sequence:
    return make_sequence(application, [moving_box(n) for n in range(COUNT)])


def values_of(sequence_node) -> list[str]:
    count = sequence_node.GetNumberOfDataNodes()
    return [sequence_node.GetNthIndexValue(n) for n in range(count)]


def items_of(sequence_node) -> list:
    count = sequence_node.GetNumberOfDataNodes()
    return [sequence_node.GetNthDataNode(n) for n in range(count)]


def shown_columns(node) -> list[int]:
    """Where the shown segmentation is, in columns of the volume; empty if it shows nothing."""
    if not node.GetSegmentation().GetNumberOfSegments():
        return []
    image = segmentation_to_labels(node)
    k, j, i = np.nonzero(image.array)
    places = np.linalg.inv(STRAIGHT) @ image.ijk_to_ras @ np.stack([i, j, k, np.ones_like(i)])
    return sorted(set(places[0].round().astype(int).tolist()))


def box_columns(index: int) -> list[int]:
    return [3 * index + 1, 3 * index + 2, 3 * index + 3]


def state_of(browser):
    flags = ("Playback", "Recording", "SaveChanges", "OverwriteProxyName", "MissingItemMode")
    sequences = vtk_list(browser)
    return (
        browser.GetSelectedItemNumber(),
        browser.GetPlaybackActive(),
        browser.GetRecordingActive(),
        [(s.GetID(), browser.GetProxyNode(s)) for s in sequences],
        [[getattr(browser, f"Get{flag}")(s) for flag in flags] for s in sequences],
        references_of(browser),
    )


def references_of(browser) -> dict[str, str]:
    roles = [
        browser.GetNthNodeReferenceRole(n) for n in range(browser.GetNumberOfNodeReferenceRoles())
    ]
    ids = {role: browser.GetNodeReferenceID(role) for role in roles}
    return {role: node_id for role, node_id in ids.items() if node_id}


def vtk_list(browser) -> list:
    nodes = vtk.vtkCollection()
    browser.GetSynchronizedSequenceNodes(nodes, True)
    return [nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())]


def nodes_of(scene) -> list:
    return [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]


def all_of(moving: Sequence):
    """All that an import may change."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(moving.scene)
    items = [
        [
            (s.GetNthIndexValue(n), s.GetNthDataNode(n).GetSegmentation())
            for n in range(s.GetNumberOfDataNodes())
        ]
        for s in vtk_list(moving.browser)
        if s is not moving.node
    ]
    return nodes_of(moving.scene), state_of(moving.browser), hierarchy.GetNumberOfItems(), items


def node_state(node):
    role = node.GetReferenceImageGeometryReferenceRole()
    attributes = {key: node.GetAttribute(key) for key in node.GetAttributeNames()}
    return (
        node.GetSegmentation(),
        segment_ids(node),
        node.GetTransformNodeID(),
        node.GetNodeReferenceID(role),
        node.GetDisplayNode(),
        attributes,
    )


def reference_grid(node) -> tuple[tuple[int, int, int], np.ndarray]:
    """Dimensions and ijk_to_ras of the grid that the segmentation is edited on."""
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometry = node.GetSegmentation().GetConversionParameter(name)
    image, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    slicer.vtkSegmentationConverter.DeserializeImageGeometry(geometry, image, False)
    image.GetImageToWorldMatrix(matrix)
    return image.GetDimensions(), matrix_to_array(matrix)


# Finding and reading


def test_only_a_volume_that_shows_a_sequence_is_found(moving):
    assert find_sequence(moving.volume) == (moving.browser, moving.node)
    other = add_volume(moving.application, STRAIGHT)
    assert find_sequence(other) is None
    assert find_sequence(slicer.vtkMRMLScalarVolumeNode()) is None
    with pytest.raises(InputError) as caught:
        read_frames(moving.browser, other)
    assert caught.value.code == "input.not_in_sequence"


def test_frames_have_the_modality_that_the_scene_knows_of_the_volume(moving):
    moving.volume.SetAttribute("DICOM.Modality", "MR")
    frames = read_frames(moving.browser, moving.volume)
    assert {frame.view()[0].modality for frame in frames} == {"MR"}


def test_no_volume_shows_no_sequence():
    assert find_sequence(None) is None


def test_frames_are_read_without_moving_the_browser(moving):
    moving.show(2)
    moving.browser.SetPlaybackActive(True)
    before = all_of(moving)
    frames = read_frames(moving.browser, moving.volume)
    assert [(f.index, f.value) for f in frames] == [(0, "0"), (1, "10"), (2, "20"), (3, "30")]
    for frame in frames:
        np.testing.assert_array_equal(frame.view()[0].array, moving_box(frame.index).array)
    assert all_of(moving) == before
    assert slicer.util.arrayFromVolume(moving.volume).max() == 102


@given(grids=st.lists(matrices(), min_size=3, max_size=3))
@FEW
def test_every_frame_has_its_own_grid(application, grids):
    moving = make_sequence(application, [moving_box(n, grid) for n, grid in enumerate(grids)])
    frames = read_frames(moving.browser, moving.volume)
    for frame, grid in zip(frames, grids, strict=True):
        np.testing.assert_allclose(frame.view()[0].ijk_to_ras, grid, atol=1e-9)
    done = moving.import_results()
    for index, grid in enumerate(grids):
        moving.show(index)
        found = segmentation_to_labels(done.segmentation_node)
        k, j, i = np.nonzero(found.array)
        places = np.linalg.inv(grid) @ found.ijk_to_ras @ np.stack([i, j, k, np.ones_like(i)])
        expected = np.argwhere(moving_box(index).array > 0)[:, ::-1]
        assert {tuple(p) for p in places[:3].T.round().astype(int)} == {tuple(p) for p in expected}
        dimensions, matrix = reference_grid(done.segmentation_node)
        assert dimensions == SHAPE[::-1]
        np.testing.assert_allclose(matrix, grid, atol=1e-6)


def test_a_frame_is_a_view_that_cannot_be_written_to(moving):
    (frame,) = read_frames(moving.browser, moving.volume, [1])
    image, _ = frame.view()
    np.testing.assert_array_equal(image.array, moving_box(1).array)
    assert not image.array.flags.writeable
    slicer.util.arrayFromVolume(moving.node.GetNthDataNode(1))[:] = 7
    assert image.array.max() == 7


def test_frames_take_no_memory_of_their_own(application):
    size = 4_000_000
    images = [Image(np.full((40, 200, 250), n, np.int16), STRAIGHT) for n in range(4)]
    moving = make_sequence(application, images)
    tracemalloc.start()
    try:
        for frame in read_frames(moving.browser, moving.volume):
            assert frame.view()[0].array[0, 0, 0] == frame.index
        assert tracemalloc.get_traced_memory()[1] < size // 10
    finally:
        tracemalloc.stop()


def test_a_bad_frame_is_named(moving):
    moving.node.GetNthDataNode(2).SetAndObserveImageData(None)
    frames = read_frames(moving.browser, moving.volume)
    frames[1].view()
    with pytest.raises(InputError, match=r"^Frame 3: .*no voxels") as caught:
        frames[2].view()
    assert caught.value.code == "input.no_voxels"


def test_frames_without_an_image_are_left_out_or_refused(moving):
    main = moving.scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Main")
    for value in ("0", "5", "10"):
        main.SetDataNodeAtValue(moving.volume, value)
    moving.browser.AddSynchronizedSequenceNode(main)
    moving.browser.SetAndObserveMasterSequenceNodeID(main.GetID())
    frames = read_frames(moving.browser, moving.volume)
    assert [(f.index, f.value) for f in frames] == [(0, "0"), (2, "10")]
    with pytest.raises(InputError, match="frame 2 ") as caught:
        read_frames(moving.browser, moving.volume, [0, 1])
    assert caught.value.code == "input.no_image"
    assert values_of(moving.import_results().sequence_node) == ["0", "10"]


def test_a_bent_volume_is_refused(moving):
    moving.volume.SetAndObserveTransformNodeID(add_bend(moving.application).GetID())
    with pytest.raises(InputError) as caught:
        read_frames(moving.browser, moving.volume)
    assert caught.value.code == "input.nonlinear_transform"


# Importing


def test_the_segmentation_follows_the_volume(moving):
    moving.show(1)
    done = moving.import_results()
    assert shown_columns(done.segmentation_node) == box_columns(1)
    assert find_sequence(done.segmentation_node) == (moving.browser, done.sequence_node)
    assert values_of(done.sequence_node) == values_of(moving.node)
    for get in ("GetIndexName", "GetIndexUnit", "GetIndexType"):
        assert getattr(done.sequence_node, get)() == getattr(moving.node, get)()
    compatible = moving.logic.IsNodeCompatibleForBrowsing(moving.node, done.sequence_node)
    assert compatible
    assert done.segmentation_node.GetName() == "Moving segmentation"
    assert done.segmentation_node.GetDisplayNode() is not None
    for index in (2, 0, 3, 1, 0):
        moving.show(index)
        assert shown_columns(done.segmentation_node) == box_columns(index)
        segment = done.segmentation_node.GetSegmentation().GetNthSegment(0)
        assert segment.GetName() == "Structure 1"
        assert segment.GetTerminology() == records(1)[0].terminology
        np.testing.assert_allclose(segment.GetColor(), np.array(records(1)[0].color) / 255)


def test_frames_without_a_result_show_nothing_and_stay_without(moving):
    moving.show(3)
    done = moving.import_results(1, 2)
    shown = []
    for index in (3, 2, 1, 0, 1):
        if index != 3:
            moving.show(index)
        shown.append(shown_columns(done.segmentation_node))
    assert shown == [[], box_columns(2), box_columns(1), [], box_columns(1)]
    assert values_of(done.sequence_node) == ["10", "20"]


def test_edits_are_kept_in_their_frame(moving):
    done = moving.import_results()
    moving.show(1)
    done.segmentation_node.GetSegmentation().GetNthSegment(0).SetName("Edited")
    names = []
    for index in (0, 1, 2):
        moving.show(index)
        names.append(done.segmentation_node.GetSegmentation().GetNthSegment(0).GetName())
    assert names == ["Structure 1", "Edited", "Structure 1"]


def test_edits_of_a_frame_without_a_result_reach_no_other_frame(moving):
    done = moving.import_results(1)
    moving.show(0)
    done.segmentation_node.GetSegmentation().AddEmptySegment("new")
    moving.show(1)
    assert segment_ids(done.segmentation_node) == ["structure_1"]
    assert values_of(done.sequence_node) == ["10"]


def test_the_voxels_are_not_copied(moving):
    results = list(moving.results())
    done = import_frames(results, moving.browser, moving.volume)
    for n, (_, layers) in enumerate(results):
        layers[0].labels.array[:] = 1
        item = done.sequence_node.GetNthDataNode(n)
        assert segmentation_to_labels(item).array.size == np.prod(SHAPE)


def test_a_given_segmentation_becomes_the_proxy_under_the_transform(moving):
    node = add_segmentation(moving.application)
    node.GetSegmentation().AddEmptySegment("old")
    node.GetSegmentation().SetConversionParameter("Smoothing factor", "0.25")
    node.SetAttribute("Note", "mine")
    shift = np.eye(4)
    shift[:3, 3] = [100, 20, -30]
    moved = add_transform(moving.application, shift)
    moving.volume.SetAndObserveTransformNodeID(moved.GetID())
    done = moving.import_results(0, 2, node=node)
    assert done.segmentation_node is node
    assert node.GetName() == "Segmentation"
    assert {i.GetName() for i in items_of(done.sequence_node)} == {"Segmentation"}
    for index, columns in ((2, box_columns(2)), (1, []), (0, box_columns(0))):
        moving.show(index)
        assert shown_columns(node) == columns
        assert node.GetTransformNodeID() == moved.GetID()
    assert reference_grid(node)[1].tolist() == STRAIGHT.tolist()
    assert node.GetSegmentation().GetConversionParameter("Smoothing factor") == "0.25"
    assert node.GetAttribute("Note") == "mine"
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReferenceID(role) == moving.volume.GetID()


def test_a_later_import_updates_only_its_frames(moving):
    first = moving.import_results(0, 1)
    frames = read_frames(moving.browser, moving.volume, [1, 3])
    mirrored = [(f, layer_of(moving_box(0))) for f in frames]
    second = import_frames(mirrored, moving.browser, moving.volume, first.segmentation_node)
    assert second.sequence_node is first.sequence_node
    assert len(vtk_list(moving.browser)) == 2
    assert values_of(second.sequence_node) == ["0", "10", "30"]
    expected = [box_columns(0), box_columns(0), [], box_columns(0)]
    for index in (3, 2, 1, 0):
        moving.show(index)
        assert shown_columns(first.segmentation_node) == expected[index]
    second.undo()
    assert values_of(second.sequence_node) == ["0", "10"]
    expected = [box_columns(0), box_columns(1), [], []]
    for index in (0, 1, 2, 3):
        moving.show(index)
        assert shown_columns(first.segmentation_node) == expected[index]


def test_layers_that_overlap_and_provenance_come_with_each_frame(moving):
    def results():
        for frame in read_frames(moving.browser, moving.volume, [0, 2]):
            (first,) = layer_of(frame.view()[0])
            dilated = np.maximum(first.labels.array, np.roll(first.labels.array, 1, axis=2))
            second = Layer(first.labels.with_array(dilated), (replace(records(2)[1], label=1),))
            yield frame, [first, second]

    done = import_frames(
        results(), moving.browser, moving.volume, provenance={"task": "total", "demo": "no"}
    )
    node = done.segmentation_node
    for index in (2, 0):
        moving.show(index)
        assert segment_ids(node) == ["structure_1", "structure_2"]
        assert node.GetAttribute("TotalSegmentator.task") == "total"
        sizes = [
            slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, id).sum()
            for id in segment_ids(node)
        ]
        assert sizes == [2 * 3 * 3, 2 * 3 * 4]
    moving.show(1)
    assert node.GetAttribute("TotalSegmentator.task") is None


def test_segments_of_an_earlier_run_stay_in_their_frames(moving):
    first = moving.import_results(0, 1)
    other = [
        (frame, [Layer(layer.labels, (replace(records(2)[1], label=1),))])
        for frame, (layer,) in moving.results(1, 2)
    ]
    node = first.segmentation_node
    second = import_frames(other, moving.browser, moving.volume, node, mode="append")
    expected = [["structure_1"], ["structure_1", "structure_2"], ["structure_2"], []]
    for index in (1, 0, 3, 2):
        moving.show(index)
        assert segment_ids(node) == expected[index]
    second.undo()
    expected = [["structure_1"], ["structure_1"], [], []]
    for index in (2, 1, 0):
        moving.show(index)
        assert segment_ids(node) == expected[index]


def test_an_update_under_another_transform_is_refused(moving):
    done = moving.import_results(0)
    moved = add_transform(moving.application, np.diag([1.0, 1.0, 2.0, 1.0]))
    moving.volume.SetAndObserveTransformNodeID(moved.GetID())
    before = all_of(moving)
    with pytest.raises(InputError) as caught:
        moving.import_results(1, node=done.segmentation_node)
    assert caught.value.code == "output.other_transform"
    assert all_of(moving) == before
    done.segmentation_node.SetAndObserveTransformNodeID(moved.GetID())
    moving.import_results(1, node=done.segmentation_node)


def make_by_hand(moving: Sequence):
    """As the Sequences module does: nothing is saved, missing frames show the one before."""
    node = add_segmentation(moving.application)
    sequence = moving.scene.AddNewNodeByClass("vtkMRMLSequenceNode", "By hand")
    for index in (0, 1):
        segmentation = slicer.vtkMRMLSegmentationNode()
        moving.scene.AddNode(segmentation)
        import_layers(layer_of(moving_box(index)), segmentation)
        sequence.SetDataNodeAtValue(segmentation, str(10 * index))
    moving.browser.AddSynchronizedSequenceNode(sequence)
    moving.browser.AddProxyNode(node, sequence, False)
    moving.show(0)
    return node, sequence


@pytest.mark.parametrize("shown", [0, 1])
def test_undo_without_the_application_shows_the_earlier_segmentation(moving, shown):
    node, _ = make_by_hand(moving)
    moving.logic.SetMRMLScene(None)  # nobody follows the browser any more
    frames = read_frames(moving.browser, moving.volume, [0])
    done = import_frames(
        [(frames[0], layer_of(moving_box(3)))], moving.browser, moving.volume, node
    )
    assert shown_columns(node) == box_columns(3)
    moving.browser.SetSelectedItemNumber(shown)
    done.undo()
    assert shown_columns(node) == box_columns(shown)


def test_a_sequence_made_by_hand_keeps_its_ways(moving):
    node, sequence = make_by_hand(moving)
    flags, kept = state_of(moving.browser)[4], sequence.GetNthDataNode(0).GetSegmentation()

    frames = read_frames(moving.browser, moving.volume, [0])
    done = import_frames(
        [(frames[0], layer_of(moving_box(3)))], moving.browser, moving.volume, node
    )
    assert state_of(moving.browser)[4] == flags
    item = sequence.GetNthDataNode(0)
    assert node.GetSegmentation() is not item.GetSegmentation()
    seen = [shown_columns(node)]
    for index in (1, 2, 0):
        moving.show(index)
        seen.append(shown_columns(node))
    assert seen == [box_columns(3), box_columns(1), box_columns(1), box_columns(3)]
    assert shown_columns(item) == box_columns(3)

    moving.show(1)
    done.undo()
    assert sequence.GetNthDataNode(0).GetSegmentation() is kept
    assert shown_columns(node) == box_columns(1)
    moving.show(0)
    assert shown_columns(node) == box_columns(0)


def test_indices_may_be_words(application):
    images = [moving_box(n) for n in range(3)]
    text = slicer.vtkMRMLSequenceNode.TextIndex
    moving = make_sequence(application, images, ["late", "early", "0.5"], text)
    done = moving.import_results(2, 1)
    for index in (0, 1, 2):
        moving.show(index)
        assert shown_columns(done.segmentation_node) == (box_columns(index) if index else [])


def test_close_numeric_values_are_different_frames(application):
    moving = make_sequence(application, [moving_box(n) for n in range(3)], ["0", "1", "2"])
    moving.node.SetNumericIndexValueTolerance(1e-7)
    for n in (1, 2):
        moving.node.UpdateIndexValue(str(n), str(n * 1e-5))
    done = moving.import_results()
    assert done.sequence_node.GetNumberOfDataNodes() == 3
    for index in (2, 1, 0):
        moving.show(index)
        assert shown_columns(done.segmentation_node) == box_columns(index)


def test_the_sequence_is_saved_and_loaded(moving, tmp_path):
    io, cache = slicer.vtkDataIOManager(), slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(str(tmp_path))
    io.SetCacheManager(cache)
    moving.scene.SetCacheManager(cache)
    moving.scene.SetDataIOManager(io)
    saved = moving.import_results(0, 2).sequence_node
    saved.AddDefaultStorageNode()
    storage = saved.GetStorageNode()
    storage.SetFileName(str(tmp_path / "saved.seq.mrb"))
    assert storage.WriteData(saved)
    loaded = moving.scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    assert storage.ReadData(loaded)
    assert values_of(loaded) == ["0", "20"]
    for n, index in enumerate((0, 2)):
        item = loaded.GetNthDataNode(n)
        assert shown_columns(item) == box_columns(index)
        assert item.GetSegmentation().GetNthSegment(0).GetName() == "Structure 1"


# All or nothing


def failing(moving: Sequence, error: BaseException):
    results = moving.results()
    yield next(results)
    yield next(results)
    raise error


def with_bad_layer(moving: Sequence):
    results = list(moving.results())
    twice = records(1) * 2
    frame, layers = results[2]
    results[2] = (frame, [Layer(layers[0].labels, tuple(twice))])
    return results


@pytest.mark.parametrize("playing", [False, True])
@pytest.mark.parametrize("recording", [False, True])
@pytest.mark.parametrize("given_node", [False, True])
@pytest.mark.parametrize("error", [CancelledError(), KeyboardInterrupt(), ValueError("bad")])
def test_a_failure_among_the_results_changes_nothing(moving, playing, recording, given_node, error):
    node = add_segmentation(moving.application) if given_node else None
    moving.show(2)
    moving.browser.SetPlaybackActive(playing)
    moving.browser.SetRecordingActive(recording)
    before, shown = all_of(moving), node and node_state(node)
    with pytest.raises(type(error)):
        import_frames(failing(moving, error), moving.browser, moving.volume, node)
    with pytest.raises(ValueError):
        import_frames(with_bad_layer(moving), moving.browser, moving.volume, node)
    assert all_of(moving) == before
    assert (node and node_state(node)) == shown


STEPS = ("_add_sequence", "_set_item", "_attach", "_place_beside", "_show")


@pytest.mark.parametrize("kind", ["new", "given", "proxy"])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_in_the_scene_changes_nothing(moving, monkeypatch, step, kind):
    node = None if kind == "new" else add_segmentation(moving.application)
    if kind == "proxy":
        moving.import_results(0, 1, node=node)
    moving.browser.SetRecording(moving.node, True)
    moving.show(1)
    moving.browser.SetPlaybackActive(True)
    moving.browser.SetRecordingActive(True)
    before, shown = all_of(moving), node and node_state(node)
    calls = []
    work = getattr(module, step)

    def fail(*arguments):
        result = work(*arguments)
        calls.append(step)
        if len(calls) == (2 if step == "_set_item" else 1):
            raise RuntimeError("in the middle")
        return result

    monkeypatch.setattr(module, step, fail)
    if step == "_add_sequence" and kind == "proxy":
        moving.import_results(1, 2, node=node)
        assert not calls
        return
    with pytest.raises(RuntimeError, match="in the middle"):
        moving.import_results(1, 2, node=node)
    assert all_of(moving) == before
    assert (node and node_state(node)) == shown


@pytest.mark.parametrize("kind", ["new", "given", "proxy"])
def test_undo_puts_back_what_was(moving, kind):
    node = None if kind == "new" else add_segmentation(moving.application)
    if kind == "given":
        node.GetSegmentation().AddEmptySegment("old")
        node.SetAttribute("Note", "mine")
    if kind == "proxy":
        moving.import_results(0, 1, node=node)
    moving.browser.SetPlaybackActive(True)
    before, shown = all_of(moving), node and node_state(node)
    done = moving.import_results(1, 2, node=node)
    assert all_of(moving) != before
    done.undo()
    assert all_of(moving) == before
    assert (node and node_state(node)) == shown
    done.undo()
    assert all_of(moving) == before


def test_undo_survives_what_people_removed(moving):
    done = moving.import_results()
    moving.scene.RemoveNode(done.sequence_node)
    moving.scene.RemoveNode(done.segmentation_node)
    done.undo()
    assert vtk_list(moving.browser) == [moving.node]
    done = moving.import_results()
    moving.scene.RemoveNode(moving.browser)
    done.undo()
    assert not moving.scene.IsNodePresent(done.sequence_node)
    assert not moving.scene.IsNodePresent(done.segmentation_node)


@pytest.mark.parametrize("playing", [False, True])
@pytest.mark.parametrize("recording", [False, True])
def test_the_browser_is_as_before_after_success(moving, playing, recording):
    moving.show(2)
    moving.browser.SetRecording(moving.node, True)
    moving.browser.SetPlaybackActive(playing)
    moving.browser.SetRecordingActive(recording)
    before = state_of(moving.browser)
    done = moving.import_results()
    after = state_of(moving.browser)
    assert after[:3] == before[:3]
    assert after[4][0] == before[4][0]
    assert moving.node.GetNumberOfDataNodes() == COUNT
    assert done.sequence_node.GetNumberOfDataNodes() == COUNT
    assert shown_columns(done.segmentation_node) == box_columns(2)


def test_the_application_hears_of_one_change(moving):
    heard = []
    moving.browser.SetPlaybackActive(True)
    moving.browser.AddObserver(
        "ModifiedEvent",
        lambda *_: heard.append(
            (moving.browser.GetPlaybackActive(), moving.browser.GetSelectedItemNumber())
        ),
    )
    moving.import_results()
    assert heard == [(True, 0)]


def test_browser_state_is_restored_whatever_happens(moving):
    browser = moving.browser
    moving.show(2)
    browser.SetPlaybackActive(True)
    browser.SetRecordingActive(True)
    with pytest.raises(RuntimeError), browser_state(browser):
        assert not browser.GetPlaybackActive() and not browser.GetRecordingActive()
        browser.SetSelectedItemNumber(0)
        raise RuntimeError
    assert state_of(browser)[:3] == (2, True, True)


def test_a_segmentation_of_another_browser_is_refused(moving):
    done = moving.import_results()
    other = make_sequence(moving.application, [moving_box(n) for n in range(2)])
    before = all_of(moving), all_of(other)
    with pytest.raises(InputError) as caught:
        other.import_results(node=done.segmentation_node)
    assert caught.value.code == "output.in_another_sequence"
    assert (all_of(moving), all_of(other)) == before


def test_what_was_removed_during_the_run_is_told(moving):
    results = list(moving.results())
    moving.node.RemoveDataNodeAtValue("10")
    before = all_of(moving)
    with pytest.raises(InputError, match="Frame 2 ") as caught:
        import_frames(results, moving.browser, moving.volume)
    assert caught.value.code == "input.sequence_changed"
    node = add_segmentation(moving.application)
    moving.scene.RemoveNode(node)
    with pytest.raises(InputError) as caught:
        import_frames(results[2:], moving.browser, moving.volume, node)
    assert caught.value.code == "input.node_removed"
    assert all_of(moving) == before
    done = import_frames(results[2:], moving.browser, moving.volume)
    for index in (1, 2):
        moving.show(index)
        assert shown_columns(done.segmentation_node) == box_columns(index + 1)


@pytest.mark.parametrize("what", ["volume", "browser", "output"])
def test_what_is_removed_between_two_results_is_told(moving, what):
    output = add_segmentation(moving.application)
    node = {"volume": moving.volume, "browser": moving.browser, "output": output}[what]

    def results():
        for result in moving.results(0, 1):
            yield result
            if moving.scene.IsNodePresent(node):
                moving.scene.RemoveNode(node)

    with pytest.raises(InputError) as caught:
        import_frames(results(), moving.browser, moving.volume, output)
    code = "input.node_removed" if what == "output" else "input.not_in_sequence"
    assert caught.value.code == code
    # The application gives the sequence another proxy for a volume that was removed.
    assert moving.scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 1
    assert moving.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == (what != "output")
    assert segment_ids(output) == []


def test_no_results_and_two_for_a_frame_are_errors_of_the_program(moving):
    for results in ([], [*moving.results(1), *moving.results(1)]):
        with pytest.raises(ValueError, match="results"):
            import_frames(results, moving.browser, moving.volume)


# Choosing frames


@pytest.mark.parametrize(
    "text, indices",
    [
        ("all", range(12)),
        (" ALL ", range(12)),
        ("current", [4]),
        ("1", [0]),
        ("12", [11]),
        ("3-10", range(2, 10)),
        ("3 – 5", [2, 3, 4]),
        ("7, 1,3-4,3", [0, 2, 3, 6]),
        (range(0, 12, 5), [0, 5, 10]),
        ([3, 1, 3], [1, 3]),
    ],
)
def test_choices_of_frames(text, indices):
    assert parse_frames(text, 12, 4) == tuple(indices)


@pytest.mark.parametrize(
    "text, code",
    [
        ("", "input.bad_frames"),
        ("some", "input.bad_frames"),
        ("1,,2", "input.bad_frames"),
        ("-3", "input.bad_frames"),
        ("1.5", "input.bad_frames"),
        ("١", "input.bad_frames"),
        ("5-3", "input.bad_frames"),
        ("9" * 5000, "input.bad_frames"),
        ([], "input.bad_frames"),
        ("0", "input.no_such_frame"),
        ("13", "input.no_such_frame"),
        ("10-1000000000000", "input.no_such_frame"),
        ([12], "input.no_such_frame"),
        ([-1], "input.no_such_frame"),
    ],
)
def test_bad_choices_of_frames_come_with_a_remedy(text, code):
    with pytest.raises(InputError) as caught:
        parse_frames(text, 12, 4)
    assert caught.value.code == code
    assert caught.value.remedy


def test_no_current_frame_and_no_frames():
    for text, count in (("current", 5), ("all", 0), ("1", 0)):
        with pytest.raises(InputError):
            parse_frames(text, count)


@given(st.sets(st.integers(0, 40), min_size=1), st.data())
def test_every_written_choice_is_read(indices, data):
    order = data.draw(st.permutations(sorted(indices)))
    text = ",".join(str(n + 1) for n in order)
    assert parse_frames(text, 41) == parse_frames(order, 41) == tuple(sorted(indices))
