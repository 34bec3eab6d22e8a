"""What is in a segmentation node, edits included, as layers and meshes for files.

There are two parts: :func:`take_labelmaps` and :func:`surface_meshes` look at the scene, quickly,
in the main thread. What they give knows nothing of the scene, so the rest may run in a thread.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, count, pairwise
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
from ..images.geometry import check_matrix, straight_grid
from ..images.layer import ID_TAG
from ..images.mesh_files import Mesh, check_absent
from ..images.values import label_type, to_labels
from .nodes import (
    BINARY,
    REFERENCE_GEOMETRY,
    SURFACE,
    check_labelmaps,
    named_segments,
    segment_tag,
)
from .segmentations import _volume_to_segmentation
from .volumes import matrix_to_array, oriented_to_image, volume_to_image

_NAME = "The segmentation"
_PART_OF_A_VOXEL = 1e-3
_MAX_VOXELS = 2**31
"""What a grid may have: 1024 x 1024 x 2048, more than a CT of a whole body.

Every layer takes as many bytes, 2 GiB, and many programs count the voxels of a file with 32 bits.
Beyond it lie the grids of damaged files, and labelmaps that somebody moved metres apart.
"""
_MAX_LABEL = np.iinfo(np.uint16).max


@dataclass(frozen=True, eq=False)
class Labelmaps:
    """The labelmaps of a segmentation as they were taken from the scene.

    :param layers: one per labelmap, each on a grid of its own, in the node's coordinates.
    :param empty: segments that have no labelmap, each with the name of its label.
    :param order: the ids of all segments; of those that overlap, the later one is seen.
    :param grid: the grid that is wanted, in the node's coordinates; None if there is none. Its
        voxels do not matter.
    :param to_world: (4, 4), from the node's coordinates to RAS mm; of a volume, if its voxels are
        wanted.
    """

    layers: tuple[Layer, ...]
    empty: tuple[tuple[SegmentRecord, str], ...]
    order: tuple[str, ...]
    grid: Image | None
    to_world: np.ndarray

    def on_one_grid(self) -> list[Layer]:
        """Layers on a common grid in the coordinates that are wanted, as few as overlaps allow.

        Of segments that overlap, the later one is in a later layer, so that it is seen if the
        layers are merged, as in Slicer.

        The grid is that of the volume, as in Slicer's own export: voxels beyond it are left out.
        Without a volume it is the first labelmap's, large enough for all. A
        labelmap on the same voxels is put in its place; one on another grid is resampled, where
        each voxel gets the label that it lies in. If a transform shears the grid, which most
        programs cannot read, all is resampled to a straight grid around it.

        Labels stay as they are, except where segments of several labelmaps come together in a
        layer. Voxels are views of what was taken where nothing had to be moved.

        :raises InputError: ``input.bad_geometry`` if the grid is too skewed to be straightened;
            ``input.not_a_labelmap`` if voxels are not whole numbers of 0 to 65535;
            ``output.too_large`` if labelmaps lie so far apart that no grid can hold them.
        """
        grid = self._common_grid()
        canvases: list[_Canvas] = []
        for part in _in_order([_part(layer, grid) for layer in self.layers], self.order):
            _add(canvases, part, grid.array.shape)
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
        low, high = np.floor(low), np.ceil(high)
        start = np.eye(4)
        start[:3, 3] = low
        return _grid(first.ijk_to_ras @ start, (high - low + 1)[::-1])

    def _in_world(self, labels: Image) -> Image:
        moved = replace(labels, ijk_to_ras=self.to_world @ labels.ijk_to_ras)
        if not is_sheared(moved.ijk_to_ras):
            return moved
        check_geometry(moved.ijk_to_ras, moved.array.shape, _NAME)
        return labels_on_grid(moved, _grid(*straight_grid(moved.ijk_to_ras, moved.array.shape)))


def take_labelmaps(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> Labelmaps:
    """Take the labelmaps of a segmentation from the scene, with the segments as they are now.

    The voxels are copied, so that people may edit the segmentation in the meantime (about 50 ms for
    100 MB).

    :param volume_node: whose voxels and coordinates are wanted; None for the grid of the node's
        reference volume in the world.
    :raises InputError: ``output.empty``, ``output.not_labelmaps``, ``output.nonlinear_transform``;
        ``output.too_large`` and ``input.bad_geometry`` if the node's geometry is that of no image.
    """
    segmentation = segmentation_node.GetSegmentation()
    if not segmentation.GetNumberOfSegments():
        raise _empty()
    check_labelmaps(segmentation)
    grid, to_world = _wanted_grid(segmentation_node, volume_node)
    groups: dict[slicer.vtkOrientedImageData | None, list[SegmentRecord]] = {}
    for id, segment in named_segments(segmentation):
        labelmap = segment.GetRepresentation(BINARY)
        if labelmap is not None and not _has_voxels(labelmap):
            labelmap = None
        groups.setdefault(labelmap, []).append(_record(id, segment))
    names = {id: _label_name(id, segment) for id, segment in named_segments(segmentation)}
    empty = tuple((record, names[record.id]) for record in groups.pop(None, ()))
    if grid is None and not groups:
        raise _empty()
    layers = tuple(
        Layer(_image(labelmap), tuple(records), {r.label: names[r.id] for r in records})
        for labelmap, records in groups.items()
    )
    return Labelmaps(layers, empty, tuple(names), grid, to_world)


def write_labels(layers: Sequence[Layer], path: str | Path, overwrite: bool = False) -> None:
    """Write layers as NIfTI with label names, or as Slicer's segmentation file.

    In NIfTI the layers become one labelmap, where the later layer is seen; ``.seg.nrrd`` keeps
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
    """The surfaces of segments in their order, for the functions of :mod:`..images.mesh_files`.

    No point is copied: Slicer replaces surfaces, it does not edit them. Segments without voxels
    have no mesh.

    :param ids: of the segments that are wanted; None for all.
    :param surfaces: by segment id, from :class:`.SurfaceBuilder`; None for those of the node.
    :raises InputError: ``output.no_surfaces`` if one is not built, ``output.empty``,
        ``output.nonlinear_transform``.
    """
    to_world = _to_world(segmentation_node)
    meshes = []
    for id, segment in named_segments(segmentation_node.GetSegmentation()):
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


def _wanted_grid(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None,
) -> tuple[Image | None, np.ndarray]:
    """What :class:`Labelmaps` calls grid and to_world."""
    if volume_node is None:
        return _reference_grid(segmentation_node.GetSegmentation()), _to_world(segmentation_node)
    image = volume_to_image(volume_node)
    to_segmentation = _volume_to_segmentation(volume_node, segmentation_node)
    grid = _grid(to_segmentation @ image.ijk_to_ras, image.array.shape)
    return grid, np.linalg.inv(to_segmentation)


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
    to_world = matrix_to_array(matrix)
    check_matrix(to_world, "The transform of the segmentation")
    return to_world


def _reference_grid(segmentation: slicer.vtkSegmentation) -> Image | None:
    text = segmentation.GetConversionParameter(REFERENCE_GEOMETRY)
    geometry = slicer.vtkOrientedImageData()
    read = slicer.vtkSegmentationConverter.DeserializeImageGeometry
    if not text or not read(text, geometry, False) or not geometry.GetNumberOfPoints():
        return None
    start = np.eye(4)
    start[:3, 3] = geometry.GetExtent()[::2]
    matrix = vtk.vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    return _grid(matrix_to_array(matrix) @ start, geometry.GetDimensions()[::-1])


def _grid(ijk_to_ras: np.ndarray, shape: Sequence[float]) -> Image:
    """A grid without memory for voxels.

    :param shape: (K, J, I), whole numbers; too large ones may be infinite or none.
    :raises InputError: ``output.too_large``, ``input.bad_geometry``.
    """
    voxels = math.prod(float(size) for size in shape)
    if not voxels <= _MAX_VOXELS:
        raise InputError(
            "output.too_large",
            f"{_NAME} needs a grid of {voxels:.2g} voxels; at most {_MAX_VOXELS:.2g} are possible.",
            "Give it the geometry of its volume, or remove segments that lie far away.",
        )
    # Not the checks for networks: single slices and microscopic voxels may be exported.
    check_matrix(ijk_to_ras, _NAME)
    return Image(np.broadcast_to(np.uint8(0), tuple(int(size) for size in shape)), ijk_to_ras)


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
    return id if segment_tag(segment, ID_TAG) else segment.GetName()


def _has_voxels(labelmap: slicer.vtkOrientedImageData) -> bool:
    return bool(labelmap.GetNumberOfPoints()) and labelmap.GetPointData().GetScalars() is not None


def _image(labelmap: slicer.vtkOrientedImageData) -> Image:
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    check_matrix(matrix_to_array(matrix), _NAME)
    image = oriented_to_image(labelmap, matrix_to_array(matrix))
    return image.with_array(image.array.copy())


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
        return labels_on_grid(labels, grid).array, _slices(np.zeros(3, int), grid.shape_ijk)
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


@dataclass(frozen=True, eq=False)
class _Part:
    """Segments of one labelmap, on the common grid.

    :param labels: the voxels that lie in the grid, without labels that no segment has.
    :param there: where in the grid they belong.
    """

    labels: np.ndarray
    there: tuple[slice, ...]
    segments: Sequence[SegmentRecord]
    label_names: Mapping[int, str]

    def only(self, segments: Sequence[SegmentRecord]) -> _Part:
        """The part of some of the segments."""
        if len(segments) == len(self.segments):
            return self
        table = np.zeros(np.iinfo(self.labels.dtype).max + 1, self.labels.dtype)
        labels = [record.label for record in segments if 0 < record.label < len(table)]
        table[labels] = labels
        names = {record.label: self.label_names[record.label] for record in segments}
        return _Part(table[self.labels], self.there, segments, names)

    def voxels(self, box: Sequence[tuple[int, int]]) -> np.ndarray:
        """Labels in a box of the grid, which lies in the part."""
        return self.labels[
            tuple(
                slice(a - s.start, b - s.start) for (a, b), s in zip(box, self.there, strict=True)
            )
        ]


def _part(layer: Layer, grid: Image) -> _Part:
    labels, there = _on_grid(_only_segments(layer), grid)
    return _Part(labels, there, layer.segments, layer.label_names)


def _in_order(parts: Sequence[_Part], ids: Sequence[str]) -> list[_Part]:
    """Parts such that, of segments that overlap, the later one is in a later part.

    Only where that needs it, a labelmap is cut between two segments: where one of another labelmap
    comes between them and overlaps the later one.

    :param ids: of all segments, in their order.
    """
    number = {id: n for n, id in enumerate(ids)}
    places = [[number[record.id] for record in part.segments] for part in parts]
    pieces: dict[int, _Part] = {}
    for part, own, cuts in zip(parts, places, _cuts(parts, places), strict=True):
        edges = [-1, *sorted(cuts), len(ids)]
        for before, last in pairwise(edges):
            chosen = [n for n, place in enumerate(own) if before < place <= last]
            if chosen:
                pieces[own[chosen[0]]] = part.only([part.segments[n] for n in chosen])
    return [pieces[first] for first in sorted(pieces)]


def _cuts(parts: Sequence[_Part], places: Sequence[Sequence[int]]) -> list[set[int]]:
    """After which places in the order of segments each part has to be cut.

    :param places: of the segments of each part, ascending.
    """
    cuts: list[set[int]] = [set() for _ in parts]

    def first(part: int, place: int) -> int:
        """The first place in the piece that has this one."""
        cut = max((cut for cut in cuts[part] if cut < place), default=-1)
        return next(own for own in places[part] if own > cut)

    overlaps = [
        overlap
        for n, m in combinations(range(len(parts)), 2)
        if places[n][0] < places[m][-1] and places[m][0] < places[n][-1]
        for overlap in _overlaps(n, m, parts, places)
    ]
    wrong = True
    while wrong:  # ends, since a pair that was cut apart stays so
        wrong = False
        for (part, place), (later_part, later) in overlaps:
            if first(later_part, later) < first(part, place):
                cuts[later_part].add(place)
                wrong = True
    return cuts


def _overlaps(
    n: int, m: int, parts: Sequence[_Part], places: Sequence[Sequence[int]]
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Segments of two parts that have voxels in common, as (part, place), the earlier one first."""
    sides = [(side.start, side.stop) for side in parts[n].there]
    others = [(side.start, side.stop) for side in parts[m].there]
    box = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(sides, others, strict=True)]
    if any(start >= stop for start, stop in box):
        return
    one, two = parts[n].voxels(box), parts[m].voxels(box)
    both = (one != 0) & (two != 0)
    pairs = np.unique(one[both].astype(np.uint32) << 16 | two[both])
    place_of = [
        {r.label: p for r, p in zip(parts[k].segments, places[k], strict=True)} for k in (n, m)
    ]
    for pair in pairs.tolist():
        segments = (n, place_of[0][pair >> 16]), (m, place_of[1][pair & _MAX_LABEL])
        yield tuple(sorted(segments, key=lambda segment: segment[1]))


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
        # 0 is the background, but Slicer leaves that or any other to a segment without voxels.
        own = {label for label in own if 0 < label <= _MAX_LABEL}
        free = (n for n in count(1) if n not in taken and n not in own)
        new = {r.label: r.label if r.label in own else next(free) for r in records}
        self.segments += [replace(record, label=new[record.label]) for record in records]
        self.label_names |= {new[label]: name for label, name in names.items()}
        return new

    def paste(self, part: _Part) -> None:
        """Add a part that overlaps nothing."""
        new = self.take(part.segments, part.label_names)
        largest = label_type(max(r.label for r in self.segments))
        table = np.zeros(np.iinfo(part.labels.dtype).max + 1, largest)
        for label in new.keys() & set(range(1, len(table))):
            table[label] = new[label]
        if not self.array.flags.writeable or self.array.dtype != table.dtype:
            self.array = self.array.astype(table.dtype)
        self.array[part.there] += table[part.labels]


def _add(canvases: list[_Canvas], part: _Part, shape: tuple[int, ...]) -> None:
    """Put a part onto the first canvas where nothing of it or after it is overlapped.

    Segments that people draw often have labelmaps of their own; a layer of the whole grid for each
    would take too much memory. Where it overlaps others it comes after them, since the later layer
    is seen if they are merged.
    """
    place = None
    for canvas in reversed(canvases):
        if np.any((canvas.array[part.there] != 0) & (part.labels != 0)):
            break
        place = canvas
    if place is not None:
        place.paste(part)
        return
    whole = part.labels.shape == shape
    canvas = _Canvas(part.labels.view() if whole else np.zeros(shape, part.labels.dtype))
    if whole:
        canvas.array.flags.writeable = False
        canvas.take(part.segments, part.label_names)
    else:
        canvas.paste(part)
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
