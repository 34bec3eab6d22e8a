"""Synthetic images and nodes for the tests of the scene."""

from __future__ import annotations

import numpy as np
import slicer
from hypothesis import strategies as st

from TotalSegmentatorLib.images import Image, SegmentRecord
from TotalSegmentatorLib.scene import image_to_volume
from TotalSegmentatorLib.scene.volumes import array_to_matrix

SHAPE = (9, 11, 13)


def records(count: int) -> list[SegmentRecord]:
    return [
        SegmentRecord(
            f"structure_{n}",
            f"Structure {n}",
            n,
            (n % 256, (7 * n) % 256, 255 - n % 256),
            f"Test~SCT^123037004^Anatomical Structure~SCT^{n}^Thing~^^~Anatomic~^^~^^|",
        )
        for n in range(1, count + 1)
    ]


def box_labels(ijk_to_ras: np.ndarray, dtype: type = np.uint8) -> Image:
    """One asymmetric structure with the label 1, in one corner of the grid."""
    array = np.zeros(SHAPE, dtype)
    array[1:4, 2:8, 3:12] = 1
    return Image(array, ijk_to_ras)


def box_center(labels: Image) -> np.ndarray:
    """(3,) RAS mm of the label 1, from its voxels and the matrix."""
    k, j, i = np.argwhere(labels.array == 1).mean(axis=0)
    return (labels.ijk_to_ras @ [i, j, k, 1])[:3]


def add_volume(application, ijk_to_ras: np.ndarray, shape=SHAPE):
    """A node with voxels that all differ."""
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    node = application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    image_to_volume(Image(array, ijk_to_ras), node)
    return node


def add_segmentation(application):
    return application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")


def add_transform(application, matrix: np.ndarray):
    node = application.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    node.SetMatrixTransformToParent(array_to_matrix(matrix))
    return node


def add_bend(application):
    """A thin-plate spline: not linear."""
    import vtk

    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for x, y, z in [(0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (50, 50, 50)]:
        source.InsertNextPoint(x, y, z)
        target.InsertNextPoint(x, y, z + 0.01 * x * y)
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node = application.scene.AddNewNodeByClass("vtkMRMLTransformNode", "Bend")
    node.SetAndObserveTransformToParent(spline)
    return node


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """(3, 3), about the three axes in turn; angles in radians."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


_ANGLE = st.floats(-3.1, 3.1)
_ORIGIN = st.floats(-500.0, 500.0)
_SPACING = st.floats(0.4, 6.0)


@st.composite
def matrices(draw) -> np.ndarray:
    """ijk_to_ras with any rotation, spacing and origin, right-handed or left-handed."""
    matrix = np.eye(4)
    spacing = np.array([draw(_SPACING) for _ in range(3)])
    matrix[:3, :3] = rotation((draw(_ANGLE), draw(_ANGLE), draw(_ANGLE))) * spacing
    if draw(st.booleans()):
        matrix[:3, 0] *= -1
    matrix[:3, 3] = [draw(_ORIGIN) for _ in range(3)]
    return matrix


def segment_ids(node) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]


def labelmap_node(application):
    return application.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Exported")


def segmentations_logic():
    return slicer.vtkSlicerSegmentationsModuleLogic
