"""The scene: volumes out of MRML, segmentations into it, pictures of both.

Imports ``slicer`` and ``vtk`` but never ``qt``; works in Slicer and on bare slicer-core.
"""

from __future__ import annotations

from .modality import volume_modality
from .segmentations import (
    IMPORT_MODES,
    Snapshot,
    check_import,
    import_layers,
    restore_snapshot,
    segmentation_to_labels,
    take_snapshot,
)
from .sequences import (
    Frame,
    FramesImport,
    browser_state,
    find_output_sequence,
    find_sequence,
    import_frames,
    read_frames,
)
from .tables import fill_table
from .volumes import image_to_volume, read_volume, volume_to_image

__all__ = [
    "IMPORT_MODES",
    "Frame",
    "FramesImport",
    "Snapshot",
    "browser_state",
    "check_import",
    "fill_table",
    "find_output_sequence",
    "find_sequence",
    "image_to_volume",
    "import_frames",
    "import_layers",
    "read_frames",
    "read_volume",
    "restore_snapshot",
    "segmentation_to_labels",
    "take_snapshot",
    "volume_modality",
    "volume_to_image",
]
