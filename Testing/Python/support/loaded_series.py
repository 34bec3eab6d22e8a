"""DICOM series in Slicer's database and in the scene, as Slicer's own plugin loads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import slicer
from pydicom import dcmread
from SampleData.dicom_series import Grid

from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.scene import image_to_volume


def straight_matrix(grid: Grid) -> np.ndarray:
    """(4, 4) ijk_to_ras of a series whose slices are stacked straight up, tilted or not."""
    matrix = grid.ijk_to_ras.copy()
    normal = np.cross(matrix[:3, 0], matrix[:3, 1])
    matrix[:3, 2] = normal / np.linalg.norm(normal) * np.linalg.norm(matrix[:3, 2])
    return matrix


def load_series(
    scene: slicer.vtkMRMLScene, files: Sequence[Path], array: np.ndarray, grid: Grid
) -> slicer.vtkMRMLScalarVolumeNode:
    """Import files into ``slicer.dicomDatabase`` without copies, and load them.

    :param files: in the order of the slices, or one multi-frame file.
    :param array: (slices, rows, columns), what is in the files.
    """
    for path in files:
        slicer.dicomDatabase.insert(str(path), False, False)
    uids = [dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in files]
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "3: Made series")
    image_to_volume(Image(array.astype(np.int16), straight_matrix(grid)), node)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    return node
