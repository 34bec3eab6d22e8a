"""Slicer's scene and logics without the application, on bare slicer-core."""

from __future__ import annotations

from pathlib import Path

import slicer

from ..errors import InputError
from ..images.whole_file import whole_file
from ..inputs import read_input
from .volumes import image_to_volume


class HeadlessApplication:
    """A MRML scene with the logics that volumes and segmentations need.

    Slicer makes these when it starts; slicer-core leaves it to the program. Functions of
    ``slicer.util`` use ``slicer.mrmlScene``: set it to :attr:`scene` if you need them.

    :ivar scene: the ``vtkMRMLScene``.
    :ivar logic: the ``vtkSlicerApplicationLogic``.
    """

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkSlicerApplicationLogic()
        self.logic.SetMRMLScene(self.scene)
        colors = self.logic.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        colors.AddDefaultColorNodes()
        # By this name the volumes logic looks for it; else it complains at each volume.
        self.logic.SetModuleLogic("Colors", colors)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self.volumes = self._add_logic("Volumes", slicer.vtkSlicerVolumesLogic())
        self.sequences = self._add_logic("Sequences", slicer.vtkSlicerSequencesLogic())
        # Registers the converters between labelmaps and surfaces.
        self.segmentations = self._add_logic(
            "Segmentations", slicer.vtkSlicerSegmentationsModuleLogic()
        )

    def load_volume(self, path: str | Path) -> slicer.vtkMRMLScalarVolumeNode:
        """Load an image with the same checks as everywhere.

        :param path: an image file, or the folder of a DICOM series.
        :raises InputError: those of :func:`~TotalSegmentatorLib.inputs.read_input`.
        """
        path = Path(path)
        image, _ = read_input(path)
        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", path.name.split(".")[0])
        image_to_volume(image, node)
        node.CreateDefaultDisplayNodes()
        return node

    def load_segmentation(self, path: str | Path) -> slicer.vtkMRMLSegmentationNode:
        """Load a .seg.nrrd file.

        :raises InputError: ``input.not_a_segmentation``.
        """
        path = Path(path)
        node = self.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", path.name.split(".")[0])
        node.AddDefaultStorageNode(str(path))
        if not path.is_file() or not node.GetStorageNode().ReadData(node):
            self.scene.RemoveNode(node)
            raise InputError(
                "input.not_a_segmentation",
                f"{path.name} cannot be loaded as a segmentation.",
                "Choose a .seg.nrrd file.",
            )
        node.CreateDefaultDisplayNodes()
        return node

    def save_segmentation(
        self, segmentation_node: slicer.vtkMRMLSegmentationNode, path: str | Path
    ) -> None:
        """Write a .seg.nrrd file, whole or not at all.

        Slicer does not write the parent transform; harden it first to have it in the file.

        :raises InputError: ``output.not_writable``.
        """
        path = Path(path)
        segmentation_node.AddDefaultStorageNode()
        storage = segmentation_node.GetStorageNode()
        with whole_file(path, suffix=".seg.nrrd") as part:
            storage.SetFileName(str(part))
            if not storage.WriteData(segmentation_node):
                raise OSError(None, "Slicer's writer failed")
        storage.SetFileName(str(path))

    def _add_logic(
        self, name: str, logic: slicer.vtkMRMLAbstractLogic
    ) -> slicer.vtkMRMLAbstractLogic:
        logic.SetMRMLApplicationLogic(self.logic)
        logic.SetMRMLScene(self.scene)
        self.logic.SetModuleLogic(name, logic)
        return logic
