"""NRRD and MetaImage files, decoded by SimpleITK after their headers are checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .failures import damaged, too_large
from .geometry import check_matrix, ijk_to_ras_from_itk
from .image import Image, Notice
from .nifti_header import unknown_orientation
from .text_header import TextHeader, check_voxel_bytes, read_text_header

_BYTES = {
    sitk.sitkUInt8: 1, sitk.sitkInt8: 1, sitk.sitkUInt16: 2, sitk.sitkInt16: 2,
    sitk.sitkUInt32: 4, sitk.sitkInt32: 4, sitk.sitkUInt64: 8, sitk.sitkInt64: 8,
    sitk.sitkFloat32: 4, sitk.sitkFloat64: 8,
    sitk.sitkVectorUInt8: 1, sitk.sitkVectorInt8: 1, sitk.sitkVectorUInt16: 2,
    sitk.sitkVectorInt16: 2, sitk.sitkVectorUInt32: 4, sitk.sitkVectorInt32: 4,
    sitk.sitkVectorUInt64: 8, sitk.sitkVectorInt64: 8, sitk.sitkVectorFloat32: 4,
    sitk.sitkVectorFloat64: 8,
}  # fmt: skip

_NO_MEMORY = "Failed to allocate memory"  # itk::ImportImageContainer
_SPACE_KINDS = ("domain", "space")


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's warnings off the console: what matters in them is checked here."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


class ItkFile:
    """A NRRD or MetaImage file whose header has been read and checked.

    :param path: the file.
    :raises InputError: as :func:`~.text_header.read_text_header`; ``input.not_3d``,
        ``input.not_scalar``, ``input.bad_geometry``, ``input.truncated``, ``input.damaged``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: TextHeader = read_text_header(path)
        self._reader = sitk.ImageFileReader()
        self._reader.SetImageIO(self.header.itk_io)
        self._reader.SetFileName(str(path))
        _check_frames(self.header, path.name)
        with quiet_itk():
            try:
                self._reader.ReadImageInformation()
            except RuntimeError as error:
                raise damaged(path.name, str(error)) from error
        self._check_pixels()
        self.shape = self._shape()
        self.ijk_to_ras = self._matrix()

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What people should know about the orientation."""
        if self.header.states_orientation:
            return ()
        return (unknown_orientation(self.path.name),)

    def read_voxels(self) -> Image:
        """Decode the voxels in the file's own type.

        :raises InputError: ``input.damaged``.
        :raises SetupError: ``memory.image_too_large``.
        """
        with quiet_itk():
            try:
                array = sitk.GetArrayFromImage(self._reader.Execute())
            except (RuntimeError, MemoryError) as error:
                memory = isinstance(error, MemoryError) or _NO_MEMORY in str(error)
                raise (too_large if memory else damaged)(self.path.name, str(error)) from error
        return Image(array.reshape(self.shape), self.ijk_to_ras)

    def _check_pixels(self) -> None:
        name = self.path.name
        components = self._reader.GetNumberOfComponents()
        item_bytes = _BYTES.get(self._reader.GetPixelID())
        if components != 1 or item_bytes is None:
            raise InputError(
                "input.not_scalar",
                f"{name} has {components} numbers per voxel (colour, vector or complex).",
                "Choose the original image with one intensity per voxel.",
            )
        check_voxel_bytes(self.header, math.prod(self.header.size) * item_bytes, name)

    def _shape(self) -> tuple[int, int, int]:
        size = list(self._reader.GetSize())
        if len(size) < 3:
            text = " x ".join(str(n) for n in size)
            raise InputError(
                "input.not_3d", f"{self.path.name} is a 2D image of {text} pixels.",
                "Choose a 3D volume.",
            )  # fmt: skip
        return size[2], size[1], size[0]

    def _matrix(self) -> np.ndarray:
        """The geometry of the first three axes: a fourth with one frame is dropped."""
        count = self._reader.GetDimension()
        direction = np.reshape(self._reader.GetDirection(), (count, count))[:3, :3]
        matrix = ijk_to_ras_from_itk(
            self._reader.GetOrigin()[:3], self._reader.GetSpacing()[:3], direction.ravel()
        )
        check_matrix(matrix, self.path.name)
        return matrix


def _check_frames(header: TextHeader, name: str) -> None:
    """Refuse several volumes in one file before ITK takes them for components or fails."""
    kinds = header.fields.get("kinds", "").split()
    along_space = [n for n, kind in zip(header.size, kinds, strict=False) if kind in _SPACE_KINDS]
    frames = math.prod(header.size)
    frames //= math.prod(along_space if len(along_space) == 3 else header.size[:3])
    if len(header.size) > 3 and frames > 1 and not _is_colour(kinds):
        raise InputError(
            "input.not_3d",
            f"{name} holds {frames} volumes, but one is needed.",
            "Save the wanted volume (time point, phase) as a file of its own.",
        )


def _is_colour(kinds: list[str]) -> bool:
    return any(kind.lower().endswith(("color", "vector", "matrix", "complex")) for kind in kinds)
