"""The sample CT in the scene."""

from __future__ import annotations

from pathlib import Path

import slicer

from ..images import read_image
from .volumes import image_to_volume

NODE_NAME = "DemoCT"
# The usual window for soft tissue, HU.
_WINDOW, _LEVEL = 350, 40


def add_sample_volume(
    scene: slicer.vtkMRMLScene, path: Path
) -> tuple[slicer.vtkMRMLScalarVolumeNode]:
    """Load the sample CT; the scene knows then that it is a CT.

    :param path: the file that :func:`~TotalSegmentatorLib.environment.sample_data.sample_ct` gives.
    :return: the nodes, as Slicer's sample data are given.
    :raises InputError: if the file cannot be read; the scene is as before.
    """
    image, _ = read_image(path)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(NODE_NAME))
    image_to_volume(image, node)
    modality = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    node.SetAttribute(modality, "CT")
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(_WINDOW, _LEVEL)
    return (node,)
