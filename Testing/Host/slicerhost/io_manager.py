"""Loading, saving and exporting nodes: the part of qSlicerCoreIOManager that slicer.util uses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import MappingProxyType

import slicer
import vtk

# Longest first, so that .seg.nrrd is not taken for a volume.
FILE_TYPES = MappingProxyType(
    {
        ".seg.nrrd": "SegmentationFile",
        ".nii.gz": "VolumeFile",
        ".nrrd": "VolumeFile",
        ".nhdr": "VolumeFile",
        ".nii": "VolumeFile",
        ".mha": "VolumeFile",
        ".mhd": "VolumeFile",
    }
)


class IOManager:
    """Reads and writes volumes and segmentations through their storage nodes."""

    def fileType(self, name: str) -> str:
        """Return the type of a file by its name, '' if unknown."""
        known = self.extractKnownExtension(name)
        return FILE_TYPES.get(known, "")

    def extractKnownExtension(self, name: str, _node: slicer.vtkMRMLNode | None = None) -> str:
        """Return the extension of a file name, with both parts of .nii.gz and .seg.nrrd."""
        known = (extension for extension in FILE_TYPES if str(name).endswith(extension))
        return next(known, os.path.splitext(name)[1])

    def fileWriterFileType(self, node: slicer.vtkMRMLNode) -> str:
        """Return the type of file that a node is written to."""
        return "SegmentationFile" if node.IsA("vtkMRMLSegmentationNode") else "VolumeFile"

    def fileWriterExtensions(self, node: slicer.vtkMRMLNode) -> list[str]:
        """Return the formats a node can be written in, as shown in the Save dialog."""
        if node.IsA("vtkMRMLSegmentationNode"):
            return ["Segmentation (.seg.nrrd)"]
        return ["NRRD (.nrrd)", "NIfTI (.nii.gz)", "NIfTI (.nii)"]

    def loadNodes(
        self,
        fileType: str,
        properties: dict[str, object],
        loaded: vtk.vtkCollection | None = None,
        _messages: object = None,
    ) -> bool:
        """Load a file and add its node to the collection; False if it cannot be read."""
        path = str(properties["fileName"])
        name = str(properties.get("name") or os.path.basename(path).split(".")[0])
        if fileType == "VolumeFile":
            options = 1 if properties.get("labelmap") else 0
            node = slicer.modules.volumes.logic().AddArchetypeVolume(path, name, options)
        elif fileType == "SegmentationFile":
            node = _read_segmentation(path, name)
        else:
            node = None
        if node is not None and loaded is not None:
            loaded.AddItem(node)
        return node is not None

    def saveNodes(
        self, _fileType: str, properties: dict[str, object], _messages: object = None
    ) -> bool:
        """Write a node through its own storage node."""
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(properties["fileName"]))
        return bool(node.GetStorageNode().WriteData(node))

    def exportNodes(
        self,
        nodeIDs: Sequence[str],
        fileNames: Sequence[str],
        _properties: dict[str, object],
        _hardenTransforms: bool,
        _messages: object = None,
    ) -> bool:
        """Write nodes to files without touching their own storage nodes."""
        for identifier, name in zip(nodeIDs, fileNames, strict=True):
            node = slicer.mrmlScene.GetNodeByID(identifier)
            storage = node.CreateDefaultStorageNode()
            storage.UnRegister(None)
            storage.SetFileName(str(name))
            if not storage.WriteData(node):
                return False
        return True


def _read_segmentation(path: str, name: str) -> slicer.vtkMRMLSegmentationNode | None:
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(path)
    node.SetAndObserveStorageNodeID(storage.GetID())
    if not storage.ReadData(node):
        scene.RemoveNode(node)
        return None
    node.CreateDefaultDisplayNodes()
    return node
