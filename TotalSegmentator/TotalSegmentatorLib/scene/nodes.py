"""What the files of this room ask of segmentation nodes, and Slicer's names for it."""

from __future__ import annotations

import slicer
import vtk

from ..errors import InputError

BINARY = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
"""Slicer's name of the representation as labelmaps."""
SURFACE = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
"""Slicer's name of the representation as surfaces."""
REFERENCE_GEOMETRY = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
"""The conversion parameter that has the grid of the reference volume."""

NamedSegment = tuple[str, slicer.vtkSegment]
"""A segment and its id, which it does not know itself."""


def named_segments(segmentation: slicer.vtkSegmentation) -> list[NamedSegment]:
    """All segments in their order."""
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return [(id, segmentation.GetSegment(id)) for id in ids]


def segment_tag(segment: slicer.vtkSegment, name: str) -> str:
    """The value of a tag; empty if the segment has none of that name."""
    value = vtk.reference("")
    segment.GetTag(name, value)
    return str(value)


def check_labelmaps(segmentation: slicer.vtkSegmentation) -> None:
    """Refuse a segmentation whose segments are not kept as labelmaps.

    :raises InputError: ``output.not_labelmaps``.
    """
    name = segmentation.GetSourceRepresentationName()
    if name != BINARY:
        raise InputError(
            "output.not_labelmaps",
            f"The segmentation holds its segments as {name.lower()}, not as labelmaps.",
            "Convert it to binary labelmaps in the module Segmentations, or choose another.",
        )


def weak_reference(target: vtk.vtkObject | None) -> vtk.vtkWeakReference:
    """A reference that does not keep a node or a segment alive."""
    reference = vtk.vtkWeakReference()
    reference.Set(target)
    return reference
