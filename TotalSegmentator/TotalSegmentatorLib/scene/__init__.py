"""The scene: volumes out of MRML, segmentations into it, pictures of both.

Imports ``slicer`` and ``vtk`` but never ``qt``; works in Slicer and on bare slicer-core.
"""

from __future__ import annotations

from .segmentations import (
    Snapshot,
    import_labels,
    restore_snapshot,
    segmentation_to_labels,
    take_snapshot,
)
from .volumes import image_to_volume, read_volume, volume_to_image

__all__ = [
    "Snapshot",
    "image_to_volume",
    "import_labels",
    "read_volume",
    "restore_snapshot",
    "segmentation_to_labels",
    "take_snapshot",
    "volume_to_image",
]
