"""Reading images with checks: whatever is wrong is found before minutes are spent on it.

The format is judged by content, not by the file's name, and headers before voxels. Messages name
the file, never its folder: folders may hold patients' names.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import InputError
from . import nifti
from .failures import file_errors
from .geometry import check_geometry
from .image import Image, Notice
from .nifti_header import is_nifti, is_nifti_pair_or_analyze
from .text_header import is_meta_image, is_nrrd
from .values import to_intensities, to_labels

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_DOUBLE_SUFFIXES = (".nii.gz", ".seg.nrrd")
_HEAD_BYTES = 4096
_READABLE = "Choose a NIfTI, NRRD or MetaImage file or the folder of a DICOM series."


def file_suffix(path: Path) -> str:
    """The suffix in lower case, both parts of .nii.gz and .seg.nrrd."""
    name = path.name.lower()
    return next((s for s in _DOUBLE_SUFFIXES if name.endswith(s)), Path(name).suffix)


def read_image(path: str | Path) -> tuple[Image, tuple[Notice, ...]]:
    """Read a scalar 3D image that a network can work on.

    :param path: NIfTI, NRRD or MetaImage file; for DICOM see :func:`~..inputs.read_input`.
    :return: the image as int16 or float32, all voxels finite; what people should know about it.
    :raises InputError: ``input.not_found``, ``input.empty_file``, ``input.not_an_image``,
        ``input.truncated``, ``input.damaged``, ``input.not_3d``, ``input.not_scalar``,
        ``input.bad_geometry``, ``input.too_small`` and others, each with its remedy.
    :raises SetupError: ``memory.image_too_large``.
    """
    path = Path(os.path.abspath(path))  # a name may begin with '-'
    with file_errors(path.name):
        image, notices = _read_file(path, as_input=True)
    array, value_notices = to_intensities(image.array, path.name)
    return image.with_array(array), (*notices, *value_notices)


def read_labelmap(path: str | Path) -> Image:
    """Read a labelmap of any size and place, as uint8 or uint16.

    :raises InputError: ``input.not_a_labelmap`` and those of a damaged file.
    """
    path = Path(os.path.abspath(path))
    with file_errors(path.name):
        image, _ = _read_file(path, as_input=False)
    return Image(to_labels(image.array, path.name), image.ijk_to_ras)


def read_nifti_label_names(path: str | Path) -> dict[int, str]:
    """Label values and names from a NIfTI file's header extension; empty if there is none.

    :raises InputError: ``input.not_an_image``, ``input.damaged``.
    """
    path = Path(os.path.abspath(path))
    with file_errors(path.name):
        if not is_nifti(_head(path)):
            raise _not_an_image(path.name)
        return nifti.read_label_names(path)


def _read_file(path: Path, as_input: bool) -> tuple[Image, tuple[Notice, ...]]:
    """An image file; with *as_input* its grid is checked before the voxels are read."""
    head = _head(path)
    if is_nifti(head):
        header = nifti.read_header(path)
        notices = check_geometry(header.ijk_to_ras, header.shape, path.name) if as_input else ()
        image, header_notices = nifti.read_voxels(path, header)
        return image, (*header_notices, *notices)
    if is_nrrd(head) or is_meta_image(head):
        from .itk_files import ItkFile  # here, as engines read NIfTI only and start without ITK

        file = ItkFile(path)
        if as_input and "segment0_id" in file.header.fields:
            raise InputError(
                "input.segmentation",
                f"{path.name} is a segmentation, not an image.",
                "Choose the image that it belongs to.",
            )
        notices = check_geometry(file.ijk_to_ras, file.shape, path.name) if as_input else ()
        return file.read_voxels(), (*file.notices, *notices)
    raise _wrong_format(head, path.name)


def _head(path: Path) -> bytes:
    """The first bytes of the content, decompressed if it is gzip.

    :raises InputError: ``input.not_a_file``, ``input.empty_file``, ``input.truncated``,
        ``input.damaged``.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # before opening: a pipe would wait for ever
        raise InputError("input.not_a_file", f"{path.name} is not a file.", _READABLE)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise InputError(
            "input.empty_file", f"{path.name} is empty.", "Copy, download or export it again."
        )
    if not head.startswith(nifti.GZIP_MAGIC):
        return head
    with nifti.opened(path) as stream:
        return stream.read(_HEAD_BYTES)


def _wrong_format(head: bytes, name: str) -> InputError:
    if head[128:132] == b"DICM":
        return InputError(
            "input.dicom_file",
            f"{name} is a single DICOM file.",
            "Choose the folder that holds the whole series.",
        )
    if is_nifti_pair_or_analyze(head):
        return InputError(
            "input.not_an_image",
            f"{name} is one half of a pair of .hdr and .img files.",
            "Save the image as one NIfTI file (.nii.gz).",
        )
    return _not_an_image(name)


def _not_an_image(name: str) -> InputError:
    return InputError("input.not_an_image", f"{name} is not an image of a known format.", _READABLE)
