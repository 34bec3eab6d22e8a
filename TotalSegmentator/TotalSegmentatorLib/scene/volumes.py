"""Volumes: a node's voxels and where they lie."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..errors import InputError
from ..images import Image, Notice, check_geometry
from .modality import volume_modality

# Not the node's own name, which is often the patient's: messages go to the log too.
_NAME = "The volume"


def view_volume(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> tuple[Image, tuple[Notice, ...]]:
    """A volume node as :func:`volume_to_image`, whose voxels were not looked at yet.

    That takes no time, so that an application can do it while it waits for its user.

    :return: the image with the modality that the scene knows, and notices about its geometry.
    """
    image = volume_to_image(volume_node)
    notices = check_geometry(image.ijk_to_ras, image.array.shape, _NAME)
    return replace(image, modality=volume_modality(volume_node)), notices


class VoxelsInUse:
    """The voxels of a volume node while another thread copies them; a context for that thread.

    They are not locked, so that an application goes on; a change in that time is found out.

    :param volume_node: its voxels must have been viewed just now, see :func:`view_volume`.
    """

    def __init__(self, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
        self._data = volume_node.GetImageData()
        self._time: int | None = None
        self._copied = threading.Event()
        self._checked = False

    def __enter__(self) -> VoxelsInUse:
        self._time = self._data.GetMTime()
        return self

    def __exit__(self, *_: object) -> None:
        self._copied.set()

    def check(self) -> None:
        """To be called again and again on the scene's thread, until the copy was made and after.

        :raises InputError: ``input.volume_changed``.
        """
        if self._checked or self._time is None:
            return
        self._checked = self._copied.is_set()
        if self._data.GetMTime() != self._time:
            self._checked = True
            raise InputError(
                "input.volume_changed", "The volume was changed while it was read.", "Run again."
            )


def volume_to_image(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Image:
    """The voxels of a volume node as an image, without copying them.

    The array is a read-only view. It stays valid when the node is removed; who must not see later
    edits of the node's voxels copies it.

    A linear parent transform of the node is left out: moving a volume does not move its voxels
    relative to each other, so the result is right when it is put under the same transform, and it
    follows when the transform is changed later. Nothing is resampled. A non-linear transform bends
    the grid, which no matrix can tell, so the displayed anatomy is not what an engine would see.

    :return: array (K, J, I), and ijk_to_ras in mm in the node's own coordinates.
    :raises InputError: ``input.no_voxels``, ``input.not_3d``, ``input.not_scalar``,
        ``input.nonlinear_transform``, and those of
        :func:`~TotalSegmentatorLib.images.geometry.check_geometry` (``input.bad_geometry``, ...).
    """
    data = _check_voxels(volume_node)
    _check_transform(volume_node)
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    image = oriented_to_image(data, matrix_to_array(matrix))
    check_geometry(image.ijk_to_ras, image.array.shape, _NAME)
    image.array.flags.writeable = False
    return image


def image_to_volume(image: Image, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Give a volume node the voxels and the place of an image.

    The node shares the array's memory if it can (see :func:`array_to_vtk`).
    """
    data = vtk.vtkImageData()
    data.SetDimensions(image.shape_ijk)
    data.GetPointData().SetScalars(array_to_vtk(image.array))
    was_modifying = volume_node.StartModify()
    volume_node.SetAndObserveImageData(data)
    volume_node.SetIJKToRASMatrix(array_to_matrix(image.ijk_to_ras))
    volume_node.EndModify(was_modifying)


def _check_voxels(volume_node: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkImageData:
    data = volume_node.GetImageData()
    if data is None or data.GetPointData().GetScalars() is None or not data.GetNumberOfPoints():
        raise InputError(
            "input.no_voxels", f"{_NAME} holds no voxels.", "Load its data, or choose another."
        )
    if data.GetNumberOfScalarComponents() != 1:
        raise InputError(
            "input.not_scalar",
            f"{_NAME} has {data.GetNumberOfScalarComponents()} values in each voxel.",
            "Choose a grey-value image: CT or MR.",
        )
    if min(data.GetDimensions()) < 2:
        raise InputError("input.not_3d", f"{_NAME} is a single slice.", "Choose the whole volume.")
    return data


def _check_transform(node: slicer.vtkMRMLTransformableNode) -> None:
    parent = node.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        raise InputError(
            "input.nonlinear_transform",
            f"{_NAME} is bent by a non-linear transform.",
            "Harden the transform on the volume first, which resamples it, or remove it.",
        )


def oriented_to_image(data: vtk.vtkImageData, ijk_to_ras: np.ndarray) -> Image:
    """A view of image data as an :class:`Image`.

    VTK counts voxels from the start of the extent, which is not always 0 (a cropped labelmap);
    arrays count from 0, so the start goes into the matrix.

    :param ijk_to_ras: (4, 4), of VTK's indices.
    """
    start = np.eye(4)
    start[:3, 3] = data.GetExtent()[::2]
    scalars = vtk_to_numpy(data.GetPointData().GetScalars())
    return Image(scalars.reshape(data.GetDimensions()[::-1]), ijk_to_ras @ start)


def array_to_vtk(array: np.ndarray) -> vtk.vtkDataArray:
    """A VTK array over the memory of a contiguous, writable array, else over a copy of it.

    VTK keeps the numpy array alive for as long as the VTK array lives. Programs may write into what
    they find in the scene, so memory that must not be written to is copied.
    """
    flat = array.ravel()
    if not flat.flags.writeable:
        flat = flat.copy()
    return numpy_to_vtk(flat, deep=False)


def matrix_to_array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """(4, 4) float64."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def array_to_matrix(array: np.ndarray) -> vtk.vtkMatrix4x4:
    """The inverse of :func:`matrix_to_array`."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(array.ravel().tolist())
    return matrix
