"""Segmentations: results into a segmentation node, the way back, and labels out of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .. import catalog
from ..errors import InputError
from ..images import Image, Layer, SegmentRecord
from ..images.layer import ID_TAG
from ..images.values import to_labels
from .nodes import (
    BINARY,
    REFERENCE_GEOMETRY,
    NamedSegment,
    check_labelmaps,
    named_segments,
    segment_tag,
    weak_reference,
)
from .volumes import array_to_matrix, array_to_vtk, matrix_to_array, oriented_to_image

#: What :func:`import_layers` does with the segments that the node has already.
IMPORT_MODES = ("replace", "append", "update")
#: Tag of a segment whose structure the catalogue knows: its group there, e.g. ``digestive``.
GROUP_TAG = "TotalSegmentator.group"
#: The node attributes that tell of the last import begin with it.
ATTRIBUTE_PREFIX = "TotalSegmentator."
#: One of them, and a tag of the segments of such a run: whether a demo model made it.
DEMO = ATTRIBUTE_PREFIX + "demo"
#: What these attributes said before, where segments of earlier imports stay: a list, as JSON.
_EARLIER = ATTRIBUTE_PREFIX + "earlier"

_VOXELS_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a segmentation node held: :func:`restore_snapshot` puts it back.

    The segments are the very objects that the node had, so taking one copies no voxel. It stays
    true as long as the node's content is replaced, not edited; :func:`import_layers` replaces it.

    :param transform, geometry: the parent transform and the reference volume, held weakly: a
        snapshot does not keep nodes alive that were removed from the scene.
    :param attributes: node attributes that earlier imports wrote.
    :param display: a copy of the display node, since display settings go with their segment.
    """

    segmentation: slicer.vtkSegmentation
    transform: vtk.vtkWeakReference
    geometry: vtk.vtkWeakReference
    attributes: Mapping[str, str]
    display: slicer.vtkMRMLSegmentationDisplayNode | None


def take_snapshot(segmentation_node: slicer.vtkMRMLSegmentationNode) -> Snapshot:
    """Remember what a node holds, to offer it back after an import."""
    role = segmentation_node.GetReferenceImageGeometryReferenceRole()
    display = None
    if segmentation_node.GetDisplayNode() is not None:
        display = slicer.vtkMRMLSegmentationDisplayNode()
        display.CopyContent(segmentation_node.GetDisplayNode())
    return Snapshot(
        segmentation_node.GetSegmentation(),
        weak_reference(segmentation_node.GetParentTransformNode()),
        weak_reference(segmentation_node.GetNodeReference(role)),
        {key: segmentation_node.GetAttribute(key) for key in _own_attributes(segmentation_node)},
        display,
    )


def restore_snapshot(
    segmentation_node: slicer.vtkMRMLSegmentationNode, snapshot: Snapshot
) -> Snapshot:
    """Put back what the node held when the snapshot was taken; no voxel is copied.

    The snapshot's content is the node's from now on and may be edited there, so a snapshot serves
    once. What the node held until now is returned: restoring that takes the undo back.

    A transform or a reference volume that has left the scene is not set again.
    """
    now = take_snapshot(segmentation_node)
    role = segmentation_node.GetReferenceImageGeometryReferenceRole()
    was_modifying = segmentation_node.StartModify()
    try:
        segmentation_node.SetAndObserveSegmentation(snapshot.segmentation)
        segmentation_node.SetNodeReferenceID(role, _id_in_scene(snapshot.geometry))
        segmentation_node.SetAndObserveTransformNodeID(_id_in_scene(snapshot.transform))
        _set_own_attributes(segmentation_node, snapshot.attributes)
        if snapshot.display is not None and segmentation_node.GetDisplayNode() is not None:
            segmentation_node.GetDisplayNode().CopyContent(snapshot.display)
        segmentation_node.StorableModified()
    finally:
        segmentation_node.EndModify(was_modifying)
    return now


def import_layers(
    layers: Sequence[Layer],
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    mode: str = "replace",
    provenance: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Put a result into a segmentation node, in one step.

    All segments of a layer share one labelmap over the layer's own memory: no voxel is copied (if
    the array is contiguous, writable and uint8, or uint16 for labels above 255), and 117 structures
    take as long as one. The arrays then belong to the node, where people edit them. Everything is
    built off the scene and handed over once, since every change to a node in the scene updates
    every view (16 s for 117 segments in Slicer). If anything fails, the node is as before.

    Modes, which differ in what becomes of the node's earlier segments:

    - ``replace``: they go.
    - ``append``: they stay. A new segment whose id is taken gets another id (``liver.2``), one
      whose name is taken another name (``Liver (2)``).
    - ``update``: a segment with the id of a new one is replaced at its place in the order; it keeps
      its color and its display settings (visibility, opacity). A segment that this run looked for
      (``layer.label_names``) and did not find is removed if an earlier run gave it (:data:`ID_TAG`)
      and kept if not. All others stay, and the remaining new ones come after them.

    What stays keeps its voxels, name, color, tags and label value, and shares labelmaps as before.
    Its labelmaps are copied once each, without the voxels of segments that go, so that the earlier
    content stays as it was for an undo (:func:`take_snapshot` before): as much memory as these
    labelmaps have. ``replace`` copies none. Surfaces are not taken over; Slicer makes them
    anew on demand. Display settings belong to an id in all modes.

    Layers keep overlapping structures apart. In one labelmap, e.g. Slicer's export, the later
    segment wins, and so the later layer.

    :param layers: ids are unique over all layers, labels within one. A layer lies where its matrix
        says, which need not be the volume's grid.
    :param segmentation_node: in a scene; gets default display nodes if it has none.
    :param volume_node: what was segmented. An empty or replaced segmentation takes over its grid as
        reference geometry, its parent transform, and its place in the subject hierarchy. If
        segments stay, so do the node's transform and reference geometry, and the layers are moved
        to where the volume is.
    :param provenance: becomes the node attributes ``TotalSegmentator.<key>``, instead of those of
        the import before; if segments of that stay, ``TotalSegmentator.earlier`` has them, and a
        demo stays marked as one. It is saved with the scene: nothing that names the patient, no
        paths.
    :raises ValueError: if the mode is unknown, or ids or labels are not unique.
    :raises InputError: ``input.not_a_labelmap``; ``output.not_labelmaps`` if segments stay that are
        no labelmaps; ``output.nonlinear_transform`` if the layers cannot be moved.
    """
    _check(layers, mode)
    before = take_snapshot(segmentation_node)
    earlier = [] if mode == "replace" else named_segments(before.segmentation)
    move = check_import(segmentation_node, volume_node, mode)
    new = [named for layer in layers for named in _new_segments(layer, move)]
    looked_for = {name for layer in layers for name in layer.label_names.values()}
    if provenance.get("demo") == "true":  # which goes along if people copy a segment
        for _, segment in new:
            segment.SetTag(DEMO, "true")
    content = slicer.vtkSegmentation()
    content.SetSourceRepresentationName(BINARY)
    # What the user chose for surfaces, e.g. the smoothing, is kept with the content.
    content.CopyConversionParameters(before.segmentation)
    for id, segment in _merged(earlier, new, mode, looked_for):
        if not content.AddSegment(segment, id):
            raise ValueError(f"segment '{id}' cannot be added")
    _hand_over(content, segmentation_node, volume_node, before, provenance, bool(earlier))


def check_import(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None,
    mode: str,
) -> np.ndarray:
    """What :func:`import_layers` would refuse the nodes for, before there is a result.

    :return: (4, 4), from the coordinates of the volume to those of the segmentation.
    :raises InputError: ``output.not_labelmaps``, ``output.nonlinear_transform``.
    """
    segmentation = segmentation_node.GetSegmentation()
    if mode == "replace" or not segmentation.GetNumberOfSegments():
        return np.eye(4)
    check_labelmaps(segmentation)
    if volume_node is None:
        return np.eye(4)
    return _volume_to_segmentation(volume_node, segmentation_node)


def segmentation_to_labels(segmentation_node: slicer.vtkMRMLSegmentationNode) -> Image:
    """All segments merged into one labelmap that is cropped to them.

    The n-th segment gets the label n, since label values need not be unique in a segmentation that
    people edited. Where segments overlap, the later one is seen.

    :return: array (K, J, I), int16; ijk_to_ras without the node's parent transform.
    :raises ValueError: if the segmentation has no voxels.
    """
    merged = slicer.vtkOrientedImageData()
    done = segmentation_node.GenerateMergedLabelmapForAllSegments(
        merged, slicer.vtkSegmentation.EXTENT_UNION_OF_EFFECTIVE_SEGMENTS
    )
    if not done or not merged.GetNumberOfPoints():
        raise ValueError("the segmentation has no voxels")
    matrix = vtk.vtkMatrix4x4()
    merged.GetImageToWorldMatrix(matrix)
    return oriented_to_image(merged, matrix_to_array(matrix))


def _check(layers: Sequence[Layer], mode: str) -> None:
    if mode not in IMPORT_MODES:
        raise ValueError(f"mode is one of {', '.join(IMPORT_MODES)}, not {mode!r}")
    ids = [record.id for layer in layers for record in layer.segments]
    labels = [{record.label for record in layer.segments} for layer in layers]
    if len(set(ids)) < len(ids) or sum(map(len, labels)) < len(ids):
        raise ValueError("ids of segments and labels of a layer must be unique")


def _volume_to_segmentation(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> np.ndarray:
    """(4, 4), from the coordinates of one node to those of the other, by their transforms."""
    source, target = (
        volume_node.GetParentTransformNode(),
        segmentation_node.GetParentTransformNode(),
    )
    if source is target:
        return np.eye(4)
    # Asked first, since Slicer logs an error for a matrix that there is not.
    linear = (source or target).IsTransformToNodeLinear(target if source else None)
    if not linear:
        raise InputError(
            "output.nonlinear_transform",
            "The segmentation and the volume are apart by a non-linear transform.",
            "Put both under the same transform, or choose an empty segmentation.",
        )
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, matrix)
    return matrix_to_array(matrix)


def _new_segments(layer: Layer, move: np.ndarray) -> list[NamedSegment]:
    """The segments of a layer, which no segmentation knows yet."""
    array = to_labels(layer.labels.array, "The labelmap")
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetDimensions(layer.labels.shape_ijk)
    labelmap.GetPointData().SetScalars(array_to_vtk(array))
    labelmap.SetGeometryFromImageToWorldMatrix(array_to_matrix(move @ layer.labels.ijk_to_ras))
    return [(record.id, _new_segment(record, labelmap)) for record in layer.segments]


def _new_segment(record: SegmentRecord, labelmap: slicer.vtkOrientedImageData) -> slicer.vtkSegment:
    segment = slicer.vtkSegment()
    segment.SetName(record.name)
    segment.SetColor(*(value / 255.0 for value in record.color))
    segment.SetTerminology(record.terminology)
    segment.SetTag(ID_TAG, record.id)
    group = catalog.structure(record.id).group
    if group:
        segment.SetTag(GROUP_TAG, group)
    segment.SetLabelValue(record.label)
    segment.AddRepresentation(BINARY, labelmap)
    return segment


def _merged(
    earlier: Sequence[NamedSegment], new: Sequence[NamedSegment], mode: str, looked_for: set[str]
) -> list[NamedSegment]:
    """Earlier and new segments in their order, as :func:`import_layers` says."""
    new_by_id = dict(new)
    replaced, removed = set(), set()
    if mode == "update":
        replaced = {id for id, _ in earlier if id in new_by_id}
        removed = {
            id for id, s in earlier if id in looked_for and segment_tag(s, ID_TAG) == id
        } - replaced
    gone = replaced | removed
    kept = dict(
        _copies([n for n in earlier if n[0] not in gone], [n for n in earlier if n[0] in gone])
    )
    result: list[NamedSegment] = []
    for id, segment in earlier:
        if id in replaced:
            new_by_id[id].SetColor(segment.GetColor())
            result.append((id, new_by_id[id]))
        elif id in kept:
            result.append((id, kept[id]))
    return result + _distinct([named for named in new if named[0] not in replaced], result)


def _copies(kept: Sequence[NamedSegment], gone: Sequence[NamedSegment]) -> list[NamedSegment]:
    """Copies of segments that share labelmaps as the originals do, without the voxels of others."""
    labelmaps: dict[slicer.vtkOrientedImageData, slicer.vtkOrientedImageData] = {}
    result = []
    for id, segment in kept:
        source = segment.GetRepresentation(BINARY)
        if source not in labelmaps:
            labelmaps[source] = slicer.vtkOrientedImageData()
            labelmaps[source].DeepCopy(source)
            _clear(labelmaps[source], _labels(gone, source) - _labels(kept, source))
        copy = slicer.vtkSegment()
        copy.DeepCopyMetadata(segment)
        copy.SetNameAutoGenerated(segment.GetNameAutoGenerated())
        copy.SetColorAutoGenerated(segment.GetColorAutoGenerated())
        copy.SetLabelValue(segment.GetLabelValue())
        copy.AddRepresentation(BINARY, labelmaps[source])
        result.append((id, copy))
    return result


def _labels(segments: Iterable[NamedSegment], labelmap: slicer.vtkOrientedImageData) -> set[int]:
    return {
        segment.GetLabelValue()
        for _, segment in segments
        if segment.GetRepresentation(BINARY) is labelmap
    }


def _clear(labelmap: slicer.vtkOrientedImageData, labels: set[int]) -> None:
    """Make voxels background: Slicer may give their label to a segment that is added later."""
    scalars = labelmap.GetPointData().GetScalars()
    if scalars is None or not labels:
        return
    array = vtk_to_numpy(scalars)
    for start in range(0, array.size, _VOXELS_AT_ONCE):
        part = array[start : start + _VOXELS_AT_ONCE]
        part[np.isin(part, list(labels))] = 0


def _distinct(new: Sequence[NamedSegment], others: Sequence[NamedSegment]) -> list[NamedSegment]:
    """New segments with ids and names that the others do not have."""
    taken = {id for id, _ in others}
    taken_names = {segment.GetName() for _, segment in others}
    all_ids = taken | {id for id, _ in new}
    all_names = taken_names | {segment.GetName() for _, segment in new}
    result = []
    for id, segment in new:
        if id in taken:
            # With a dot, which no structure has: rib_left_2 would be another rib.
            id = next(free for n in count(2) if (free := f"{id}.{n}") not in all_ids)
        name = segment.GetName()
        if name in taken_names:
            segment.SetName(
                next(free for n in count(2) if (free := f"{name} ({n})") not in all_names)
            )
        all_ids.add(id)
        all_names.add(segment.GetName())
        result.append((id, segment))
    return result


def _hand_over(
    content: slicer.vtkSegmentation,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None,
    before: Snapshot,
    provenance: Mapping[str, str],
    segments_stay: bool,
) -> None:
    """Give the node its new content, or, if anything fails, leave it as it was before."""
    for segmentation in (before.segmentation, content):
        _make_removal_quick(segmentation)
    was_modifying = segmentation_node.StartModify()
    try:
        segmentation_node.SetAndObserveSegmentation(content)
        # A new content alone does not count as a change that is worth saving.
        segmentation_node.StorableModified()
        attributes = {ATTRIBUTE_PREFIX + key: value for key, value in provenance.items()}
        if segments_stay and before.attributes:
            attributes |= _earlier_attributes(before.attributes)
        _set_own_attributes(segmentation_node, attributes)
        if volume_node is not None:
            # The transform first: the reference geometry is taken from the volume through it.
            if not segments_stay:
                segmentation_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
            if not segments_stay or not content.GetConversionParameter(REFERENCE_GEOMETRY):
                segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
        if segmentation_node.GetDisplayNode() is None:
            segmentation_node.CreateDefaultDisplayNodes()
        if volume_node is not None:
            _place_beside(segmentation_node, volume_node)
    except BaseException:
        restore_snapshot(segmentation_node, before)
        if before.display is None and segmentation_node.GetDisplayNode() is not None:
            segmentation_node.GetScene().RemoveNode(segmentation_node.GetDisplayNode())
        raise
    finally:
        segmentation_node.EndModify(was_modifying)


def _make_removal_quick(segmentation: slicer.vtkSegmentation) -> None:
    """Have its segments share no labelmap when it is deleted.

    Else Slicer copies the labelmap for each of them first, which takes 17 to 23 s for 117 segments
    of 512 x 512 x 400 voxels, at whatever moment the last user of the content lets go of it.
    """
    # The observer is not told who is deleted, so it must know the segments, without keeping them.
    segments = [weak_reference(segment) for _, segment in named_segments(segmentation)]
    segmentation.AddObserver("DeleteEvent", lambda *_: _unshare(segments))


def _unshare(segments: Iterable[vtk.vtkWeakReference]) -> None:
    """Give each segment an image of its own over the voxels that they share."""
    for reference in segments:
        segment = reference.Get()
        labelmap = segment.GetRepresentation(BINARY) if segment is not None else None
        if labelmap is not None:
            own = slicer.vtkOrientedImageData()
            own.ShallowCopy(labelmap)
            segment.AddRepresentation(BINARY, own)


def _place_beside(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    """Move the segmentation to the volume's folder, unless the user has put it in one already."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(
        segmentation_node.GetScene()
    )
    root = hierarchy.GetSceneItemID()
    volume_item = hierarchy.GetItemByDataNode(volume_node)
    # The application makes items by itself, bare slicer-core does not.
    folder = hierarchy.GetItemParent(volume_item) if volume_item else root
    item = hierarchy.GetItemByDataNode(segmentation_node)
    if not item:
        hierarchy.CreateItem(folder, segmentation_node)
    elif hierarchy.GetItemParent(item) == root:
        hierarchy.SetItemParent(item, folder)


def _earlier_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """What is still to be told of earlier imports, whose segments stay."""
    told = dict(attributes)
    history = json.loads(told.pop(_EARLIER, "[]"))
    last = {key.removeprefix(ATTRIBUTE_PREFIX): value for key, value in told.items()}
    kept = {_EARLIER: json.dumps([*history, last], ensure_ascii=False)}
    if told.get(DEMO) == "true":  # a mark that must not get lost
        kept[DEMO] = "true"
    return kept


def _own_attributes(node: slicer.vtkMRMLNode) -> list[str]:
    return [key for key in node.GetAttributeNames() if key.startswith(ATTRIBUTE_PREFIX)]


def _set_own_attributes(node: slicer.vtkMRMLNode, attributes: Mapping[str, str]) -> None:
    for key in _own_attributes(node):
        node.RemoveAttribute(key)
    for key, value in attributes.items():
        node.SetAttribute(key, value)


def _id_in_scene(reference: vtk.vtkWeakReference) -> str | None:
    # Not the id alone, which another node may have by now.
    node = reference.Get()
    scene = node.GetScene() if node is not None else None
    return node.GetID() if scene is not None and scene.IsNodePresent(node) else None
