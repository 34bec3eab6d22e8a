"""Regions: a box that people draw in the scene, as points of a volume's own space."""

from __future__ import annotations

from itertools import product

import slicer
import vtk

from ..errors import InputError
from ..images.region import Point


def region_points(
    roi_node: slicer.vtkMRMLMarkupsROINode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> tuple[Point, ...]:
    """The corners of a region of interest.

    Both nodes may lie under transforms: the box is taken as it is seen over the volume.

    :return: eight points in mm RAS of the volume's own space (without its parent transform).
    :raises InputError: ``input.no_region`` if the box was not drawn; ``input.nonlinear_transform``.
    """
    size = roi_node.GetSize()
    if min(size) <= 0:
        raise InputError(
            "input.no_region",
            "The region of interest has no size.",
            "Draw the box in the views, or choose the whole volume.",
        )
    to_world = roi_node.GetObjectToWorldMatrix()
    to_volume = vtk.vtkMatrix4x4()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        None, volume_node.GetParentTransformNode(), to_volume
    ):
        raise InputError(
            "input.nonlinear_transform",
            "The volume is bent by a non-linear transform, so that a box over it is none inside.",
            "Harden the transform on the volume first, or choose the whole volume.",
        )
    vtk.vtkMatrix4x4.Multiply4x4(to_volume, to_world, to_volume)
    corners = product(*((-length / 2, length / 2) for length in size))
    return tuple(to_volume.MultiplyPoint((*corner, 1.0))[:3] for corner in corners)
