"""What is in a segmentation node, edits included, as layers and meshes for files.

There are two parts: :func:`take_labelmaps` and :func:`surface_meshes` look at the scene, quickly,
in the main thread. What they give knows nothing of the scene, so the rest may run in a thread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import InputError
from ..images import (
    Image,
    Layer,
    SegmentRecord,
    check_geometry,
    file_suffix,
    is_sheared,
    labels_on_grid,
    merge_layers,
    write_labelmap,
    write_segmentation,
)
from ..images.geometry import straight_grid
from ..images.values import label_type, to_labels
from .mesh_files import Mesh, check_absent
from .segmentations import ID_TAG, _check_labelmaps, _segments, _tag
from .surfaces import SURFACE
from .volumes import matrix_to_array, oriented_to_image

_BINARY = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
_GEOMETRY = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
_NAME = "The segmentation"
_PART_OF_A_VOXEL = 1e-3


@dataclass(frozen=True, eq=False)
class Labelmaps:
    """The labelmaps of a segmentation as they were taken from the scene.

    :param layers: one per labelmap, each on a grid of its own, in the node's coordinates.
    :param empty: segments that have no labelmap, each with the name of its label.
    :param grid: the grid of the reference volume, None if the node has none; its voxels do not
        matter.
    :param to_world: (4, 4), from the node's coordinates to RAS mm.
    """

    layers: tuple[Layer, ...]
    empty: tuple[tuple[SegmentRecord, str], ...]
    grid: Image | None
    to_world: np.ndarray

    def on_one_grid(self) -> list[Layer]:
        """Layers on a common grid in world coordinates, as few as overlaps allow.

        The grid is that of the reference volume, as in Slicer's own export: voxels beyond it are
        left out. Without a reference volume it is the first labelmap's, large enough for all. A
        labelmap on the same voxels is put in its place; one on another grid is resampled, where
        each voxel gets the label that it lies in. If a transform shears the grid, which most
        programs cannot read, all is resampled to a straight grid around it.

        Labels stay as they are, except where segments of several labelmaps come together in a
        layer. Voxels are views of what was taken where nothing had to be moved.

        :raises InputError: ``input.bad_geometry`` if the grid is too skewed to be straightened;
            ``input.not_a_labelmap`` if voxels are not whole numbers of 0 to 65535.
        """
        grid = self._common_grid()
        canvases: list[_Canvas] = []
        for layer in self.layers:
            _add(canvases, layer, grid)
        if not canvases:
            canvases.append(_Canvas(grid.array))
        for record, name in self.empty:
            canvases[-1].take((record,), {record.label: name})
        return [
            Layer(self._in_world(grid.with_array(c.array)), tuple(c.segments), c.label_names)
            for c in canvases
        ]

    def _common_grid(self) -> Image:
        if self.grid is not None:
            return self.grid
        first = self.layers[0].labels
        to_first = np.linalg.inv(first.ijk_to_ras)
        ends = [
            to_first @ layer.labels.ijk_to_ras @ _corners(layer.labels) for layer in self.layers
        ]
        low = np.min([end[:3].min(axis=1) for end in ends], axis=0).round(3)
        high = np.max([end[:3].max(axis=1) for end in ends], axis=0).round(3)
        low, high = np.floor(low).astype(int), np.ceil(high).astype(int)
        start = np.eye(4)
        start[:3, 3] = low
        return _grid(first.ijk_to_ras @ start, tuple((high - low + 1)[::-1].tolist()))

    def _in_world(self, labels: Image) -> Image:
        moved = replace(labels, ijk_to_ras=self.to_world @ labels.ijk_to_ras)
        if not is_sheared(moved.ijk_to_ras):
            return moved
        check_geometry(moved.ijk_to_ras, moved.array.shape, _NAME)
        return labels_on_grid(moved, _grid(*straight_grid(moved.ijk_to_ras, moved.array.shape)))


def segmentation_layers(segmentation_node: slicer.vtkMRMLSegmentationNode) -> list[Layer]:
    """A segmentation of any origin as layers: what :func:`.import_layers` does, the other way.

    The voxels may be the node's own: use them before it is edited, or
    :func:`take_labelmaps` for use in a thread.

    :raises InputError: as :func:`take_labelmaps` and :meth:`Labelmaps.on_one_grid`.
    """
    return take_labelmaps(segmentation_node, copy=False).on_one_grid()


def take_labelmaps(
    segmentation_node: slicer.vtkMRMLSegmentationNode, copy: bool = True
) -> Labelmaps:
    """Take the labelmaps of a segmentation from the scene, with the segments as they are now.

    :param copy: copy the voxels, so that people may edit the segmentation in the meantime (about
        50 ms for 100 MB); else they are views, valid until the next edit.
    :raises InputError: ``output.empty``, ``output.not_labelmaps``, ``output.nonlinear_transform``.
    """
    segmentation = segmentation_node.GetSegmentation()
    if not segmentation.GetNumberOfSegments():
        raise _empty()
    _check_labelmaps(segmentation)
    grid = _reference_grid(segmentation)
    to_world = _to_world(segmentation_node)
    groups: dict[slicer.vtkOrientedImageData | None, list[SegmentRecord]] = {}
    for id, segment in _segments(segmentation):
        labelmap = segment.GetRepresentation(_BINARY)
        if labelmap is not None and not _has_voxels(labelmap):
            labelmap = None
        groups.setdefault(labelmap, []).append(_record(id, segment))
    names = {id: _label_name(id, segment) for id, segment in _segments(segmentation)}
    empty = tuple((record, names[record.id]) for record in groups.pop(None, ()))
    if grid is None and not groups:
        raise _empty()
    layers = tuple(
        Layer(_image(labelmap, copy), tuple(records), {r.label: names[r.id] for r in records})
        for labelmap, records in groups.items()
    )
    return Labelmaps(layers, empty, grid, to_world)


def write_labels(layers: Sequence[Layer], path: str | Path, overwrite: bool = False) -> None:
    """Write layers as NIfTI with label names, or as Slicer's segmentation file.

    In NIfTI the layers become one labelmap, where the later segment is seen; ``.seg.nrrd`` keeps
    overlaps and colors.

    :param path: ends with .nii.gz, .nii or .seg.nrrd.
    :raises InputError: ``output.unknown_format``, ``output.exists`` if the file is there and
        *overwrite* is not set, ``output.not_writable``.
    :raises SetupError: ``disk.full``.
    """
    path = Path(path)
    suffix = file_suffix(path)
    if suffix not in (".nii.gz", ".nii", ".seg.nrrd"):
        raise InputError(
            "output.unknown_format",
            f"'{path.name}' has no suffix of a format that can be written.",
            "Use .nii.gz, .nii or .seg.nrrd.",
        )
    check_absent([path], overwrite)
    if suffix == ".seg.nrrd":
        write_segmentation(layers, path, {})
    else:
        layer = merge_layers(layers)
        write_labelmap(layer.labels, path, layer.label_names)


def surface_meshes(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    ids: Collection[str] | None = None,
    surfaces: Mapping[str, vtk.vtkPolyData] | None = None,
) -> tuple[Mesh, ...]:
    """The surfaces of segments in their order, for the functions of :mod:`.mesh_files`.

    No point is copied: Slicer replaces surfaces, it does not edit them. Segments without voxels
    have no mesh.

    :param ids: of the segments that are wanted; None for all.
    :param surfaces: by segment id, from :class:`.SurfaceBuilder`; None for those of the node.
    :raises InputError: ``output.no_surfaces`` if one is not built, ``output.empty``,
        ``output.nonlinear_transform``.
    """
    to_world = _to_world(segmentation_node)
    meshes = []
    for id, segment in _segments(segmentation_node.GetSegmentation()):
        if ids is not None and id not in ids:
            continue
        surface = segment.GetRepresentation(SURFACE) if surfaces is None else surfaces.get(id)
        if surface is None:
            raise InputError(
                "output.no_surfaces",
                f"The segment '{segment.GetName()}' has no surface yet.",
                "Show the segmentation in 3D first.",
            )
        if surface.GetNumberOfPoints():
            meshes.append(_mesh(id, segment, surface, to_world))
    if not meshes:
        raise _empty()
    return tuple(meshes)


def _empty() -> InputError:
    return InputError("output.empty", "There is no segment with voxels to export.")


def _to_world(segmentation_node: slicer.vtkMRMLSegmentationNode) -> np.ndarray:
    parent = segmentation_node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            "output.nonlinear_transform",
            f"{_NAME} is bent by a non-linear transform.",
            "Harden the transform on it first, or remove it.",
        )
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return matrix_to_array(matrix)


def _reference_grid(segmentation: slicer.vtkSegmentation) -> Image | None:
    text = segmentation.GetConversionParameter(_GEOMETRY)
    geometry = slicer.vtkOrientedImageData()
    read = slicer.vtkSegmentationConverter.DeserializeImageGeometry
    if not text or not read(text, geometry, False) or not geometry.GetNumberOfPoints():
        return None
    start = np.eye(4)
    start[:3, 3] = geometry.GetExtent()[::2]
    matrix = vtk.vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    return _grid(matrix_to_array(matrix) @ start, geometry.GetDimensions()[::-1])


def _grid(ijk_to_ras: np.ndarray, shape: tuple[int, ...]) -> Image:
    """A grid without memory for voxels."""
    return Image(np.broadcast_to(np.uint8(0), shape), ijk_to_ras)


def _record(id: str, segment: slicer.vtkSegment) -> SegmentRecord:
    red, green, blue = (round(255 * value) for value in segment.GetColor())
    return SegmentRecord(
        id,
        segment.GetName(),
        segment.GetLabelValue(),
        (red, green, blue),
        segment.GetTerminology(),
    )


def _label_name(id: str, segment: slicer.vtkSegment) -> str:
    """The structure's id as the official package has it; the name of what people made."""
    return id if _tag(segment, ID_TAG) else segment.GetName()


def _has_voxels(labelmap: slicer.vtkOrientedImageData) -> bool:
    return bool(labelmap.GetNumberOfPoints()) and labelmap.GetPointData().GetScalars() is not None


def _image(labelmap: slicer.vtkOrientedImageData, copy: bool) -> Image:
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    image = oriented_to_image(labelmap, matrix_to_array(matrix))
    if copy:
        return image.with_array(image.array.copy())
    image.array.flags.writeable = False
    return image


def _only_segments(layer: Layer) -> Image:
    """The labelmap without labels that no segment has."""
    array = to_labels(layer.labels.array, _NAME)
    known = np.zeros(np.iinfo(array.dtype).max + 1, array.dtype)
    labels = [record.label for record in layer.segments if 0 < record.label < len(known)]
    known[labels] = labels
    if any((known[part] != part).any() for part in array):
        array = known[array]
    return layer.labels.with_array(array)


def _on_grid(labels: Image, grid: Image) -> tuple[np.ndarray, tuple[slice, ...]]:
    """The labelmap's voxels that lie in a grid, and where in the grid's array they belong."""
    to_grid = np.linalg.inv(grid.ijk_to_ras) @ labels.ijk_to_ras
    offset = to_grid[:3, 3].round().astype(int)
    expected = np.eye(4)
    expected[:3, 3] = offset
    if np.abs((to_grid - expected) @ _corners(labels)).max() > _PART_OF_A_VOXEL:
        return labels_on_grid(labels, grid).array, (slice(None),) * 3
    first = np.maximum(offset, 0)
    end = np.maximum(np.minimum(offset + labels.shape_ijk, grid.shape_ijk), first)
    return labels.array[_slices(first - offset, end - offset)], _slices(first, end)


def _slices(first: np.ndarray, end: np.ndarray) -> tuple[slice, ...]:
    """For an array (K, J, I), from indices (i, j, k)."""
    return tuple(slice(max(a, 0), max(b, 0)) for a, b in zip(first[::-1], end[::-1], strict=True))


def _corners(image: Image) -> np.ndarray:
    """(4, 8): the indices (i, j, k, 1) of the outermost voxels."""
    ends = [(0, size - 1) for size in image.shape_ijk]
    return np.stack([*np.meshgrid(*ends), np.ones((2, 2, 2))]).reshape(4, -1)


@dataclass(eq=False)
class _Canvas:
    """A layer in the making.

    :param array: (K, J, I), on the common grid; a view of a labelmap until something is added.
    """

    array: np.ndarray
    segments: list[SegmentRecord] = field(default_factory=list)
    label_names: dict[int, str] = field(default_factory=dict)

    def take(self, records: Sequence[SegmentRecord], names: Mapping[int, str]) -> dict[int, int]:
        """Add segments; a label that is taken becomes the next free one.

        :return: label before to label now.
        """
        taken = {record.label for record in self.segments}
        own = {record.label for record in records} - taken
        # 0 is the background, but Slicer may leave it to a segment without voxels.
        free = (n for n in count(1) if n not in taken and n not in own)
        new = {r.label: r.label if r.label in own and r.label else next(free) for r in records}
        self.segments += [replace(record, label=new[record.label]) for record in records]
        self.label_names |= {new[label]: name for label, name in names.items()}
        return new

    def paste(self, labels: np.ndarray, there: tuple[slice, ...], layer: Layer) -> None:
        """Add a labelmap that overlaps nothing."""
        new = self.take(layer.segments, layer.label_names)
        table = np.zeros(max(new) + 1, label_type(max(r.label for r in self.segments)))
        table[list(new)] = list(new.values())
        table[0] = 0
        if not self.array.flags.writeable or self.array.dtype != table.dtype:
            self.array = self.array.astype(table.dtype)
        self.array[there] += table[labels]


def _add(canvases: list[_Canvas], layer: Layer, grid: Image) -> None:
    """Put a labelmap onto the first canvas where nothing of it or after it is overlapped.

    Segments that people draw often have labelmaps of their own; a layer of the whole grid for each
    would take too much memory. Where it overlaps others it comes after them, since the later layer
    is seen if they are merged.
    """
    labels, there = _on_grid(_only_segments(layer), grid)
    place = None
    for canvas in reversed(canvases):
        if np.any((canvas.array[there] != 0) & (labels != 0)):
            break
        place = canvas
    if place is not None:
        place.paste(labels, there, layer)
        return
    whole = labels.shape == grid.array.shape
    canvas = _Canvas(labels.view() if whole else np.zeros(grid.array.shape, labels.dtype))
    if whole:
        canvas.array.flags.writeable = False
        canvas.take(layer.segments, layer.label_names)
    else:
        canvas.paste(labels, there, layer)
    canvases.append(canvas)


def _mesh(
    id: str, segment: slicer.vtkSegment, surface: vtk.vtkPolyData, to_world: np.ndarray
) -> Mesh:
    record = _record(id, segment)
    polygons = surface.GetPolys()
    only_triangles = polygons.IsHomogeneous() == 3 and not surface.GetNumberOfStrips()
    if not only_triangles:
        triangulation = vtk.vtkTriangleFilter()
        triangulation.PassLinesOff()
        triangulation.PassVertsOff()
        triangulation.SetInputData(surface)
        triangulation.Update()
        surface = triangulation.GetOutput()
        polygons = surface.GetPolys()
    normals = surface.GetPointData().GetNormals()
    return Mesh(
        id,
        record.name,
        record.color,
        vtk_to_numpy(surface.GetPoints().GetData()),
        vtk_to_numpy(polygons.GetConnectivityArray()).reshape(-1, 3),
        None if normals is None else vtk_to_numpy(normals),
        to_world,
    )
