"""Segmentations: named labels into a segmentation node, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import slicer
import vtk

from ..images import Image, SegmentRecord
from ..images.values import to_labels
from .volumes import array_to_matrix, array_to_vtk, matrix_to_array, oriented_to_image


@dataclass(frozen=True)
class Snapshot:
    """What :func:`import_labels` replaces in a segmentation node; no voxels are copied."""

    segmentation: slicer.vtkSegmentation
    transform_id: str | None
    geometry_id: str | None


def take_snapshot(segmentation_node: slicer.vtkMRMLSegmentationNode) -> Snapshot:
    """Remember the content of a node, to offer it back after an import."""
    role = segmentation_node.GetReferenceImageGeometryReferenceRole()
    return Snapshot(
        segmentation_node.GetSegmentation(),
        segmentation_node.GetTransformNodeID(),
        segmentation_node.GetNodeReferenceID(role),
    )


def restore_snapshot(segmentation_node: slicer.vtkMRMLSegmentationNode, snapshot: Snapshot) -> None:
    """Put back what the node held when the snapshot was taken."""
    role = segmentation_node.GetReferenceImageGeometryReferenceRole()
    was_modifying = segmentation_node.StartModify()
    segmentation_node.SetAndObserveSegmentation(snapshot.segmentation)
    segmentation_node.SetNodeReferenceID(role, snapshot.geometry_id)
    segmentation_node.SetAndObserveTransformNodeID(snapshot.transform_id)
    segmentation_node.EndModify(was_modifying)


def import_labels(
    labels: Image,
    segments: Sequence[SegmentRecord],
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> None:
    """Replace the content of a segmentation node by a labelmap's structures.

    All segments share one labelmap over the array's own memory: no voxel is copied, and 117
    structures take as long as one. The array then belongs to the node, where people edit it.
    Everything is built off the scene and handed over once, since every change to a node in the
    scene updates every view (16 s for 117 segments in Slicer). If anything fails, the node is as
    before.

    :param labels: labelmap (K, J, I), 0 is background; it lies where its matrix says, which need
        not be the volume's grid.
    :param segments: the structures that were found; ids and labels are unique.
    :param segmentation_node: in a scene; gets default display nodes if it has none.
    :param volume_node: what was segmented. The segmentation takes over its grid as reference
        geometry, its parent transform, and its place in the subject hierarchy.
    :raises ValueError: if ids or labels are not unique.
    :raises InputError: ``input.not_a_labelmap``.
    """
    segmentation = _build(labels, segments)
    before = take_snapshot(segmentation_node)
    # What the user chose for surfaces, e.g. the smoothing, is kept with the content.
    segmentation.CopyConversionParameters(before.segmentation)
    was_modifying = segmentation_node.StartModify()
    try:
        segmentation_node.SetAndObserveSegmentation(segmentation)
        if volume_node is not None:
            segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
            segmentation_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
            _place_beside(segmentation_node, volume_node)
        if segmentation_node.GetDisplayNode() is None:
            segmentation_node.CreateDefaultDisplayNodes()
    except Exception:
        restore_snapshot(segmentation_node, before)
        raise
    finally:
        segmentation_node.EndModify(was_modifying)


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


def _build(labels: Image, segments: Sequence[SegmentRecord]) -> slicer.vtkSegmentation:
    """A ``vtkSegmentation`` that no node knows yet."""
    ids, values = {s.id for s in segments}, {s.label for s in segments}
    if min(len(ids), len(values)) < len(segments):
        raise ValueError("ids and labels of segments must be unique")
    representation = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    labelmap = _labelmap(labels)
    segmentation = slicer.vtkSegmentation()
    segmentation.SetSourceRepresentationName(representation)
    for record in segments:
        segment = slicer.vtkSegment()
        segment.SetName(record.name)
        segment.SetColor(*(value / 255.0 for value in record.color))
        segment.SetTerminology(record.terminology)
        segment.SetLabelValue(record.label)
        segment.AddRepresentation(representation, labelmap)
        if not segmentation.AddSegment(segment, record.id):
            raise ValueError(f"segment '{record.id}' cannot be added")
    return segmentation


def _labelmap(labels: Image) -> slicer.vtkOrientedImageData:
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetDimensions(labels.shape_ijk)
    labelmap.GetPointData().SetScalars(array_to_vtk(to_labels(labels.array, "The labelmap")))
    labelmap.SetGeometryFromImageToWorldMatrix(array_to_matrix(labels.ijk_to_ras))
    return labelmap


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
