"""Sequences: the frames of a volume that changes, and a segmentation that changes with it.

A sequence node holds one data node for each index value, in a scene of its own. A browser node
shows one of them at a time in a *proxy* node, which is what people see and choose. Frames are read
from and written to the sequences themselves: the browser does not move.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import slicer

from ..errors import InputError
from ..images import Image, Layer, Notice
from ..images.frames import parse_frames
from .modality import volume_modality
from .segmentations import _place_beside, import_layers, restore_snapshot, take_snapshot
from .volumes import _check_transform, view_volume

_BASE_NAME = "Sequences.BaseName"


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a sequence, not yet read.

    :param index: item number in the browser, from 0.
    :param value: index value, e.g. the time as text; it stays when items are added or removed.
    :param volume: the sequence's own node, which is not in the application's scene.
    :param modality: that of the proxy, which the scene knows more of.
    """

    index: int
    value: str
    volume: slicer.vtkMRMLScalarVolumeNode
    modality: str = ""

    def view(self) -> tuple[Image, tuple[Notice, ...]]:
        """As :func:`~TotalSegmentatorLib.scene.view_volume`: nothing is copied.

        :raises InputError: as ``view_volume``; the message names the frame.
        """
        try:
            image, notices = view_volume(self.volume)
        except InputError as error:
            message = f"Frame {self.index + 1}: {error.message}"
            raise InputError(error.code, message, error.remedy, error.details) from error
        return replace(image, modality=self.modality or image.modality), tuple(
            replace(n, message=f"Frame {self.index + 1}: {n.message}") for n in notices
        )


@dataclass(frozen=True, eq=False)
class FramesImport:
    """What :func:`import_frames` made, and the way back.

    :param segmentation_node: the proxy, which shows the browser's frame.
    :param sequence_node: holds one segmentation for each frame.
    """

    segmentation_node: slicer.vtkMRMLSegmentationNode
    sequence_node: slicer.vtkMRMLSequenceNode
    _browser: slicer.vtkMRMLSequenceBrowserNode = field(repr=False)
    _steps_back: ExitStack = field(repr=False)

    def undo(self) -> None:
        """Put back what was there before the import; a second call does nothing.

        Made nodes are removed, earlier segmentations come back, edits since the import are lost.
        The browser stays where it is now. Keeping this object keeps the earlier segmentations in
        memory.
        """
        with _one_event(self._browser), browser_state(self._browser):
            self._steps_back.close()


def find_sequence(
    volume_node: slicer.vtkMRMLNode | None,
) -> tuple[slicer.vtkMRMLSequenceBrowserNode, slicer.vtkMRMLSequenceNode] | None:
    """The browser that shows a sequence in this node, and the sequence; None for other nodes."""
    for browser in _browsers(volume_node.GetScene() if volume_node is not None else None):
        sequence = browser.GetSequenceNode(volume_node)
        if sequence is not None:
            return browser, sequence
    return None


def read_frames(
    browser: slicer.vtkMRMLSequenceBrowserNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    frames: Sequence[int] | None = None,
) -> tuple[Frame, ...]:
    """The frames of a volume, found but not read: see :meth:`Frame.view`.

    Frames are what the sequences hold. Where changes of the volume are not saved into its
    sequence, what the volume shows may differ.

    :param volume_node: a proxy of the browser. Its parent transform is left out, as in
        :func:`~TotalSegmentatorLib.scene.volume_to_image`.
    :param frames: item numbers of the browser, from 0; None for all that have an image.
    :raises InputError: ``input.not_in_sequence``; ``input.no_such_frame``; ``input.no_image`` if
        the browser's main sequence has a frame that the volume's has not;
        ``input.nonlinear_transform``.
    """
    sequence = _sequence_of(browser, volume_node)
    _check_transform(volume_node)
    main = browser.GetMasterSequenceNode()
    chosen = parse_frames("all" if frames is None else frames, browser.GetNumberOfItems())
    found = []
    for index in chosen:
        value = main.GetNthIndexValue(index)
        volume = sequence.GetDataNodeAtValue(value, True)
        if volume is not None:
            found.append(Frame(index, value, volume, volume_modality(volume_node)))
        elif frames is not None:
            raise InputError(
                "input.no_image",
                f"The volume has no image at frame {index + 1} of the sequence.",
                "Choose other frames.",
            )
    return tuple(found)


@contextmanager
def browser_state(browser: slicer.vtkMRMLSequenceBrowserNode) -> Iterator[None]:
    """Playback and recording rest inside; afterwards they and the shown frame are as before.

    While it records, a browser adds a frame at every change of a proxy.
    """
    selected = browser.GetSelectedItemNumber()
    playing, recording = browser.GetPlaybackActive(), browser.GetRecordingActive()
    browser.SetPlaybackActive(False)
    # Only if needed: setting it starts the clock of the recording anew.
    if recording:
        browser.SetRecordingActive(False)
    try:
        yield
    finally:
        if selected < browser.GetNumberOfItems():
            browser.SetSelectedItemNumber(selected)
        browser.SetPlaybackActive(playing)
        if browser.GetRecordingActive() != recording:
            browser.SetRecordingActive(recording)


def import_frames(
    results: Iterable[tuple[Frame, Sequence[Layer]]],
    browser: slicer.vtkMRMLSequenceBrowserNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    *,
    name: str = "",
    mode: str = "replace",
    provenance: Mapping[str, str] = MappingProxyType({}),
) -> FramesImport:
    """Put segmentations of frames into the browser of the volume.

    The segmentation node becomes the proxy of a new sequence of segmentations, which has the index
    of the browser. Where a frame has no segmentation, the browser shows an empty one, and does not
    store it: a copy of the frame before would look like a result. Edits are saved into the
    sequence. If the node is the proxy of a sequence of this browser already, that is brought up to
    date: frames that are not in ``results`` keep what they have, and the browser's ways with the
    sequence are left alone.

    All or nothing: everything is built before the scene is touched, and if anything fails, or
    ``results`` is a generator that raises, the scene is as before. The browser's frame, playback
    and recording are as before in any case.

    :param results: frames of :func:`read_frames`, each once, with the layers of its segmentation.
        They are taken one after the other.
    :param segmentation_node: gets the result, else a node is made. What it holds goes, if it does
        not show a sequence: that belongs to no frame.
    :param name: of a node that is made.
    :param mode, provenance: as :func:`~TotalSegmentatorLib.scene.import_layers`, for each frame.
    :raises InputError: ``input.not_in_sequence``; ``input.sequence_changed`` if a frame was removed
        since it was read; ``input.node_removed``; ``output.in_another_sequence``;
        ``output.other_transform``; those of ``import_layers``.
    :raises ValueError: if there are no results, or two for a frame.
    """
    _sequence_of(browser, volume_node)
    earlier = find_output_sequence(browser, volume_node, segmentation_node)
    contents = _build(results, earlier, segmentation_node, mode, provenance)
    # Once more, since results that are computed one by one may have taken minutes.
    _check_frames(contents, browser, volume_node)
    earlier = find_output_sequence(browser, volume_node, segmentation_node)
    with _one_event(browser), browser_state(browser), ExitStack() as steps_back:
        node = segmentation_node
        if node is None:
            name = name or f"{_base_name(volume_node)} segmentation"
            node = _add_node(volume_node.GetScene(), "vtkMRMLSegmentationNode", name, steps_back)
        _remember(node, browser, earlier, steps_back)
        sequence = earlier or _add_sequence(browser, node, steps_back)
        for frame, content in contents.items():
            # The browser finds a proxy's own name, and the file's, by this attribute.
            content.SetAttribute(_BASE_NAME, _base_name(node))
            _set_item(sequence, frame.value, content, steps_back)
        _attach(node, volume_node, steps_back)
        _show(browser, sequence, node)
        return FramesImport(node, sequence, browser, steps_back.pop_all())


def _browsers(
    scene: slicer.vtkMRMLScene | None,
) -> Iterator[slicer.vtkMRMLSequenceBrowserNode]:
    kind = "vtkMRMLSequenceBrowserNode"
    for n in range(scene.GetNumberOfNodesByClass(kind) if scene else 0):
        yield scene.GetNthNodeByClass(n, kind)


def _sequence_of(
    browser: slicer.vtkMRMLSequenceBrowserNode, volume_node: slicer.vtkMRMLNode
) -> slicer.vtkMRMLSequenceNode:
    sequence = browser.GetSequenceNode(volume_node)
    if sequence is None or browser.GetMasterSequenceNode() is None:
        raise InputError(
            "input.not_in_sequence",
            "The volume does not show a sequence of this browser.",
            "Choose a volume of the sequence browser.",
        )
    return sequence


def _check_frames(
    frames: Iterable[Frame],
    browser: slicer.vtkMRMLSequenceBrowserNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    _sequence_of(browser, volume_node)
    for frame in frames:
        if browser.GetMasterSequenceNode().GetItemNumberFromIndexValue(frame.value) < 0:
            raise InputError(
                "input.sequence_changed",
                f"Frame {frame.index + 1} was removed from the sequence during the run.",
                "Run again.",
            )


def find_output_sequence(
    browser: slicer.vtkMRMLSequenceBrowserNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None,
) -> slicer.vtkMRMLSequenceNode | None:
    """The sequence that an import into this node would bring up to date, if there is one.

    :raises InputError: ``input.node_removed``, ``output.in_another_sequence``,
        ``output.other_transform``: what an import would be refused for.
    """
    if segmentation_node is None:
        return None
    if segmentation_node.GetScene() is None:
        raise InputError(
            "input.node_removed",
            "The segmentation was removed from the scene during the run.",
            "Run again.",
        )
    for other in _browsers(segmentation_node.GetScene()):
        if other is not browser and other.GetSequenceNode(segmentation_node) is not None:
            raise InputError(
                "output.in_another_sequence",
                "The segmentation shows a sequence of another browser.",
                "Choose another segmentation, or a new one.",
            )
    sequence = browser.GetSequenceNode(segmentation_node)
    has_items = sequence is not None and sequence.GetNumberOfDataNodes() > 0
    if has_items and segmentation_node.GetTransformNodeID() != volume_node.GetTransformNodeID():
        raise InputError(
            "output.other_transform",
            "The segmentation and the volume are under different transforms.",
            "Put both under the same transform, or choose a new segmentation.",
        )
    return sequence


def _build(
    results: Iterable[tuple[Frame, Sequence[Layer]]],
    earlier: slicer.vtkMRMLSequenceNode | None,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None,
    mode: str,
    provenance: Mapping[str, str],
) -> dict[Frame, slicer.vtkMRMLSegmentationNode]:
    """The nodes of the frames, in no scene that anybody sees."""
    scratch = slicer.vtkMRMLScene()
    contents: dict[Frame, slicer.vtkMRMLSegmentationNode] = {}
    for frame, layers in results:
        if any(frame.value == other.value for other in contents):
            raise ValueError(f"two results for frame {frame.index}")
        node = slicer.vtkMRMLSegmentationNode()
        item = earlier.GetDataNodeAtValue(frame.value, True) if earlier else None
        if item is not None:
            node.CopyContent(item, False)
        elif segmentation_node is not None:
            _copy_all_but_segments(segmentation_node, node)
        scratch.AddNode(node)
        import_layers(layers, node, None, mode, provenance)
        node.SetReferenceImageGeometryParameterFromVolumeNode(frame.volume)
        contents[frame] = node
    if not contents:
        raise ValueError("no results")
    return contents


def _copy_all_but_segments(
    source: slicer.vtkMRMLSegmentationNode, target: slicer.vtkMRMLSegmentationNode
) -> None:
    """Attributes, and what the user chose for surfaces, e.g. the smoothing."""
    target.CopyContent(source, False)
    segmentation = slicer.vtkSegmentation()
    segmentation.CopyConversionParameters(source.GetSegmentation())
    target.SetAndObserveSegmentation(segmentation)


@contextmanager
def _one_event(browser: slicer.vtkMRMLSequenceBrowserNode) -> Iterator[None]:
    """The application copies all frames into their proxies at every event of the browser."""
    was_modifying = browser.StartModify()
    try:
        yield
    finally:
        browser.EndModify(was_modifying)


def _base_name(node: slicer.vtkMRMLNode) -> str:
    """The name of a proxy without the index value that the browser may add to it."""
    return node.GetAttribute(_BASE_NAME) or node.GetName()


def _add_node(
    scene: slicer.vtkMRMLScene, kind: str, name: str, steps_back: ExitStack
) -> slicer.vtkMRMLNode:
    node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name))
    steps_back.callback(_remove_node, scene, node)
    return node


def _remove_node(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode) -> None:
    if scene.IsNodePresent(node):
        scene.RemoveNode(node)


def _remember(
    node: slicer.vtkMRMLSegmentationNode,
    browser: slicer.vtkMRMLSequenceBrowserNode,
    sequence: slicer.vtkMRMLSequenceNode | None,
    steps_back: ExitStack,
) -> None:
    """What the proxy shows, which the steps back put back last."""
    snapshot, selected = take_snapshot(node), browser.GetSelectedItemNumber()
    attributes = {key: node.GetAttribute(key) for key in node.GetAttributeNames()}

    def put_back() -> None:
        restore_snapshot(node, snapshot)
        for key in {*node.GetAttributeNames(), *attributes}:
            node.SetAttribute(key, attributes.get(key))
        # An undo may come when the browser shows another frame.
        if sequence is not None and browser.GetSelectedItemNumber() != selected:
            _show(browser, sequence, node)

    steps_back.callback(put_back)


def _add_sequence(
    browser: slicer.vtkMRMLSequenceBrowserNode,
    node: slicer.vtkMRMLSegmentationNode,
    steps_back: ExitStack,
) -> slicer.vtkMRMLSequenceNode:
    """A new, empty sequence in the browser, with the segmentation as proxy."""
    scene = node.GetScene()
    name = f"{node.GetName()}-Sequence"
    sequence = _add_node(scene, "vtkMRMLSequenceNode", name, steps_back)
    main = browser.GetMasterSequenceNode()
    sequence.SetIndexName(main.GetIndexName())
    sequence.SetIndexUnit(main.GetIndexUnit())
    sequence.SetIndexType(main.GetIndexType())
    sequence.SetNumericIndexValueTolerance(main.GetNumericIndexValueTolerance())
    steps_back.callback(_take_out, browser, sequence)
    browser.AddSynchronizedSequenceNode(sequence)
    browser.SetSaveChanges(sequence, True)
    browser.SetMissingItemMode(sequence, browser.MissingItemSetToDefault)
    browser.AddProxyNode(node, sequence, False)
    return sequence


def _take_out(
    browser: slicer.vtkMRMLSequenceBrowserNode, sequence: slicer.vtkMRMLSequenceNode
) -> None:
    if browser.GetScene() and browser.IsSynchronizedSequenceNode(sequence, True):
        browser.RemoveSynchronizedSequenceNode(sequence.GetID())


def _set_item(
    sequence: slicer.vtkMRMLSequenceNode,
    value: str,
    content: slicer.vtkMRMLSegmentationNode,
    steps_back: ExitStack,
) -> None:
    item = sequence.GetDataNodeAtValue(value, True)
    if item is None:
        # An empty node, since the sequence copies the voxels of what it is given here.
        empty = slicer.vtkMRMLSegmentationNode()
        empty.SetName(_base_name(content))
        sequence.SetDataNodeAtValue(empty, value)
        steps_back.callback(_remove_item, sequence, value)
    else:
        before = slicer.vtkMRMLSegmentationNode()
        before.CopyContent(item, False)
        steps_back.callback(sequence.UpdateDataNodeAtValue, before, value, True)
    sequence.UpdateDataNodeAtValue(content, value, True)


def _remove_item(sequence: slicer.vtkMRMLSequenceNode, value: str) -> None:
    if sequence.GetDataNodeAtValue(value, True) is not None:
        sequence.RemoveDataNodeAtValue(value)


def _attach(
    node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    steps_back: ExitStack,
) -> None:
    """Under the volume's transform, beside it in the subject hierarchy, visible."""
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    role = node.GetReferenceImageGeometryReferenceRole()
    node.SetNodeReferenceID(role, volume_node.GetID())
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        steps_back.callback(_remove_node, node.GetScene(), node.GetDisplayNode())
    _remember_place(node, steps_back)
    _place_beside(node, volume_node)


def _remember_place(node: slicer.vtkMRMLSegmentationNode, steps_back: ExitStack) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    before = hierarchy.GetItemByDataNode(node)
    parent = hierarchy.GetItemParent(before) if before else 0

    def put_back() -> None:
        item = hierarchy.GetItemByDataNode(node)
        if item and before:
            hierarchy.SetItemParent(item, parent)
        elif item:
            hierarchy.RemoveItem(item, False, False)

    steps_back.callback(put_back)


def _show(
    browser: slicer.vtkMRMLSequenceBrowserNode,
    sequence: slicer.vtkMRMLSequenceNode,
    node: slicer.vtkMRMLSegmentationNode,
) -> None:
    """What the application does at the browser's next event, also without the application."""
    selected = browser.GetSelectedItemNumber()
    if selected < 0:
        return
    value = browser.GetMasterSequenceNode().GetNthIndexValue(selected)
    item = sequence.GetDataNodeAtValue(value, True)
    if item is None:
        if browser.GetMissingItemMode(sequence) != browser.MissingItemSetToDefault:
            return
        item = slicer.vtkMRMLSegmentationNode()
    saving = browser.GetSaveChanges(sequence)
    if not saving:
        # A deep copy goes into the segmentation that is there, which an undo may still need.
        node.SetAndObserveSegmentation(slicer.vtkSegmentation())
    node.CopyContent(item, not saving)
