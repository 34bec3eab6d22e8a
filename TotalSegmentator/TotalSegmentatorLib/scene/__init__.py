"""The scene: volumes out of MRML, segmentations into it, pictures of both.

Imports ``slicer`` and ``vtk`` but never ``qt``; works in Slicer and on bare slicer-core.
"""

from __future__ import annotations

from ..images.mesh_files import Mesh, safe_file_names, write_glb, write_obj, write_stl
from .exports import Labelmaps, surface_meshes, take_labelmaps, write_labels
from .job import SceneJob, SceneResult, SegmentationJob
from .modality import volume_modality
from .regions import region_points
from .results import Results
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
from .surfaces import SurfaceBuilder
from .tables import fill_table
from .target import Target
from .volumes import VoxelsInUse, image_to_volume, view_volume, volume_to_image

__all__ = [
    "IMPORT_MODES",
    "Frame",
    "FramesImport",
    "Labelmaps",
    "Mesh",
    "Results",
    "SceneJob",
    "SceneResult",
    "SegmentationJob",
    "Snapshot",
    "SurfaceBuilder",
    "Target",
    "VoxelsInUse",
    "browser_state",
    "check_import",
    "fill_table",
    "find_output_sequence",
    "find_sequence",
    "image_to_volume",
    "import_frames",
    "import_layers",
    "read_frames",
    "region_points",
    "restore_snapshot",
    "safe_file_names",
    "segmentation_to_labels",
    "surface_meshes",
    "take_labelmaps",
    "take_snapshot",
    "view_volume",
    "volume_modality",
    "volume_to_image",
    "write_glb",
    "write_labels",
    "write_obj",
    "write_stl",
]
