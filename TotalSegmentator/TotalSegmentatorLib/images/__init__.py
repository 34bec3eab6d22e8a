"""Images: voxels with their place in the patient, read and written with checks."""

from __future__ import annotations

from .checks import check_output
from .fingerprint import fingerprint
from .geometry import check_geometry, is_sheared, same_grid
from .image import Image, Notice
from .layer import Layer, SegmentRecord, merge_layers
from .reading import (
    IMAGE_SUFFIXES,
    file_suffix,
    read_image,
    read_labelmap,
    read_nifti_label_names,
)
from .region import block_on, corners, crop, paste, voxel_box
from .segmentation_file import write_segmentation
from .straightening import labels_on_grid, straighten
from .whole_file import whole_file
from .writing import write_labelmap, write_nifti

__all__ = [
    "IMAGE_SUFFIXES",
    "Image",
    "Layer",
    "Notice",
    "SegmentRecord",
    "block_on",
    "check_geometry",
    "check_output",
    "corners",
    "crop",
    "file_suffix",
    "fingerprint",
    "is_sheared",
    "labels_on_grid",
    "merge_layers",
    "paste",
    "read_image",
    "read_labelmap",
    "read_nifti_label_names",
    "same_grid",
    "straighten",
    "voxel_box",
    "whole_file",
    "write_labelmap",
    "write_nifti",
    "write_segmentation",
]
