"""The modality of a volume, as far as the scene knows it."""

from __future__ import annotations

import slicer

_MODALITIES = ("CT", "MR")


def volume_modality(volume_node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """``CT`` or ``MR`` by the DICOM series that the volume was loaded from.

    Slicer's DICOM plugins leave the modality at the volume's item in the subject hierarchy. Scripts
    that make volumes may set it as an attribute of the node instead, by the same name.

    :return: empty if the scene does not know it, or if it is another modality.
    """
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    for modality in (_item_attribute(volume_node, name), volume_node.GetAttribute(name) or ""):
        if modality.strip().upper() in _MODALITIES:
            return modality.strip().upper()
    return ""


def _item_attribute(node: slicer.vtkMRMLNode, name: str) -> str:
    """Attribute of the node's item in the subject hierarchy; empty if there is none.

    A scene without a hierarchy is left without one.
    """
    scene = node.GetScene()
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode") if scene else None
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    return hierarchy.GetItemAttribute(item, name) if item else ""
