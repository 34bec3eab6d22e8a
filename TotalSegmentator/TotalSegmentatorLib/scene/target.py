"""Where a result goes."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

from ..errors import InputError
from .segmentations import IMPORT_MODES, check_import
from .sequences import find_sequence


@dataclass(frozen=True)
class Target:
    """Where a result goes.

    :param scene: that of the nodes.
    :param volume: what is segmented.
    :param output: receives the result; None for a new node.
    :param mode: what happens to the output's earlier segments.
    """

    scene: slicer.vtkMRMLScene
    volume: slicer.vtkMRMLScalarVolumeNode
    output: slicer.vtkMRMLSegmentationNode | None
    mode: str

    @classmethod
    def of(
        cls,
        volume: slicer.vtkMRMLScalarVolumeNode | None,
        output: slicer.vtkMRMLSegmentationNode | None,
        mode: str,
    ) -> Target:
        """
        :raises InputError: if the nodes or the mode are not what they must be.
        """
        scene = volume.GetScene() if volume else None
        if scene is None:
            raise InputError(
                "input.no_volume", "No volume of a scene is given.", "Choose a volume."
            )
        if mode not in IMPORT_MODES:
            raise InputError(
                "input.unknown_mode",
                f"There is no mode '{mode}'.",
                f"Use one of: {', '.join(IMPORT_MODES)}.",
            )
        if output is not None and (
            not output.IsA("vtkMRMLSegmentationNode") or output.GetScene() is not scene
        ):
            raise InputError(
                "output.not_a_segmentation",
                "The output is no segmentation of the volume's scene.",
                "Choose a segmentation, or none for a new one.",
            )
        return cls(scene, volume, output, mode)

    def check_single(self) -> None:
        """
        :raises InputError: if a single result cannot be put into the output.
        """
        if find_sequence(self.output):
            # The sequence would take the result for the frame that is shown, or drop it.
            raise InputError(
                "output.in_a_sequence",
                "The segmentation shows a sequence.",
                "Choose another one, or segment the frames of the volume's sequence.",
            )
        if self.output is not None:
            check_import(self.output, self.volume, self.mode)

    def check(self) -> None:
        """
        :raises InputError: if a node was removed in the meantime.
        """
        # The nodes themselves: ids are used again, by another patient's volume for example.
        if not all(self.scene.IsNodePresent(node) for node in (self.volume, self.output) if node):
            raise InputError(
                "input.node_removed",
                "The volume or the segmentation was removed from the scene during the run.",
                "Run again.",
            )

    def new_name(self, banner: str) -> str:
        """Name of a new segmentation."""
        return f"{self.volume.GetName()} segmentation" + (" (demo)" if banner else "")

    def add_node(self, node_class: str, name: str) -> slicer.vtkMRMLNode:
        """A new node with this name, or the next that is free."""
        return self.scene.AddNewNodeByClass(node_class, self.scene.GenerateUniqueName(name))
