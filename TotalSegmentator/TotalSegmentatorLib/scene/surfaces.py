"""Surfaces of segments for 3D views, built piece by piece.

Smoothing is smoothing of surfaces: it makes the picture less blocky and never changes a label.
"""

from __future__ import annotations

import atexit
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import slicer
import vtk
from scipy import ndimage
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import InputError, SegmentationError, internal_error
from .nodes import BINARY, SURFACE, check_labelmaps, named_segments, weak_reference
from .volumes import array_to_vtk

_RULE = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule
_SMOOTHING = _RULE.GetSmoothingFactorParameterName()
_DECIMATION = _RULE.GetDecimationFactorParameterName()
_METHOD = _RULE.GetConversionMethodParameterName()
_FLYING_EDGES, _SURFACE_NETS = "0", "1"

_VOXELS_AT_ONCE = 1 << 22  # about 10 ms for bounding boxes
_PATIENCE_S = 0.01
_PATIENCE_AT_EXIT_S = 1.0

_Box = tuple[np.ndarray, np.ndarray]  # first index and the one after the last, (k, j, i)


@dataclass(frozen=True)
class _Settings:
    """Slicer's conversion parameters, which it stores as text.

    A scene may hold any text: what is no number, or no method, counts as not set.

    :param smoothing, decimation: 0 to 1.
    """

    smoothing: float
    decimation: float
    normals: bool
    method: str
    jointly: bool

    @classmethod
    def of(cls, segmentation: slicer.vtkSegmentation) -> _Settings:
        value = segmentation.GetConversionParameter
        method = value(_METHOD)
        return cls(
            _share(value(_SMOOTHING), 0.5),
            _share(value(_DECIMATION), 0.0),
            value(_RULE.GetComputeSurfaceNormalsParameterName()) != "0",
            method if method in (_FLYING_EDGES, _SURFACE_NETS) else _FLYING_EDGES,
            value(_RULE.GetJointSmoothingParameterName()) not in ("", "0"),
        )


def _share(text: str, otherwise: float) -> float:
    """A number of 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        return otherwise
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else otherwise


@dataclass(frozen=True)
class _Piece:
    """What is converted at once: a segment, or all of a labelmap if they are smoothed jointly.

    :param changed: the labelmap's modification time.
    :param labels: (segment id, label) of each segment.
    """

    labelmap: slicer.vtkOrientedImageData
    changed: int
    labels: tuple[tuple[str, int], ...]
    settings: _Settings


@dataclass
class _Boxes:
    """The bounding boxes of all labels of a labelmap, found slab by slab.

    :param next_slice: the first one that was not looked at.
    """

    changed: int
    slices: int
    next_slice: int = 0
    found: dict[int, _Box] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        return self.next_slice / self.slices if self.slices else 1.0

    def look_on(self, array: np.ndarray) -> None:
        """Look at the next slab.

        :param array: the labelmap, (K, J, I).
        """
        start = self.next_slice
        self.next_slice = min(start + max(1, _VOXELS_AT_ONCE // array[0].size), self.slices)
        objects = ndimage.find_objects(array[start : self.next_slice])
        for label, slices in enumerate(objects, 1):
            if slices is None:
                continue
            offset = np.array([start, 0, 0])
            first = offset + [s.start for s in slices]
            end = offset + [s.stop for s in slices]
            if label in self.found:
                first = np.minimum(first, self.found[label][0])
                end = np.maximum(end, self.found[label][1])
            self.found[label] = first, end

    def around(self, labels: Sequence[int]) -> _Box | None:
        """The box of several labels; None if there are no voxels."""
        boxes = [self.found[label] for label in labels if label in self.found]
        if not boxes:
            return None
        return np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)


class SurfaceBuilder:
    """Builds the surfaces of all segments without stopping the application.

    Slicer converts all segments in one call, each over the whole labelmap. Here every segment is
    cut out of its labelmap first, which makes the same surface in a fraction of the time, and the
    filters run beside the caller: :meth:`step` comes back soon, also within a large structure.
    Where the node asks for joint smoothing or another method than flying edges, Slicer's own
    converter makes a piece within one step, which then takes as long as that takes.

    Nothing is changed before :meth:`finish`, so a builder may be abandoned at any time. What
    happens in the meantime is followed: surfaces of segments that were edited are made again,
    segments that came are added, those that went are forgotten. Surfaces that the node has and that
    are up to date are kept.

    All methods are called in the main thread::

        builder = SurfaceBuilder(node)
        while not builder.done:
            builder.step()  # from a timer
        builder.finish()  # or close()

    :param smoothing: of the surfaces, 0 (none) to 1 (strong, thin structures shrink); the labels
        stay as they are. None for what the node says.
    :raises ValueError: if the smoothing is not from 0 to 1.
    :raises InputError: ``output.not_labelmaps`` if the node holds neither labelmaps nor surfaces;
        ``input.node_removed`` from any method if the node has left the scene.
    """

    def __init__(
        self, segmentation_node: slicer.vtkMRMLSegmentationNode, smoothing: float | None = None
    ) -> None:
        if smoothing is not None and not 0 <= smoothing <= 1:
            raise ValueError(f"smoothing is a number from 0 to 1, not {smoothing}")
        self._node = weak_reference(segmentation_node)
        self._smoothing = smoothing
        self._boxes: dict[slicer.vtkOrientedImageData, _Boxes] = {}
        self._built: dict[_Piece, dict[str, vtk.vtkPolyData]] = {}
        self._running: tuple[_Piece, _Conversion] | None = None
        self._error: SegmentationError | None = None
        self._keep_present()

    @property
    def done(self) -> bool:
        """Whether every segment has a surface that is up to date."""
        return all(piece in self._built for piece in self._pieces())

    @property
    def fraction(self) -> float:
        """How much is done, 0 to 1; less again if segments change."""
        pieces = self._pieces()
        scanned = {p.labelmap for p in pieces if p not in self._built or p.labelmap in self._boxes}
        parts = [b.fraction for b in (self._boxes.get(m) for m in scanned) if b is not None]
        total = len(pieces) + len(scanned)
        built = sum(piece in self._built for piece in pieces)
        return (built + sum(parts)) / total if total else 1.0

    @property
    def surfaces(self) -> dict[str, vtk.vtkPolyData]:
        """Segment id to surface, in the node's own coordinates, of what is built until now."""
        built = [self._built.get(piece, {}) for piece in self._pieces()]
        return {id: surface for surfaces in built for id, surface in surfaces.items()}

    def step(self) -> None:
        """Do the next bit of work; at most one segment is finished.

        :raises SegmentationError: what kept a surface from being made, at every call from then on.
        """
        if self._error is None:
            try:
                self._begin()
                self._take_finished()
            except SegmentationError:
                raise
            except Exception as error:
                self._error = internal_error(error)
        if self._error is not None:
            raise self._error

    def _take_finished(self) -> None:
        if self._running is None:
            return
        piece, conversion = self._running
        # Threads get to run here at the latest: an application may keep Python to itself.
        if conversion.wait(_PATIENCE_S):
            self._running = None
            self._built[piece] = {piece.labels[0][0]: conversion.result()}

    def finish(self) -> None:
        """Give all surfaces to the node at once and show them in 3D views.

        :raises ValueError: if there is something left to do.
        """
        if not self.done:
            raise ValueError("the surfaces are not done")
        node = self._checked_node()
        surfaces = self.surfaces
        segmentation = node.GetSegmentation()
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
        was_modifying = node.StartModify()
        try:
            if self._smoothing is not None:
                segmentation.SetConversionParameter(_SMOOTHING, str(self._smoothing))
            for id, segment in named_segments(segmentation):
                if id in surfaces and segment.GetRepresentation(SURFACE) is not surfaces[id]:
                    segment.AddRepresentation(SURFACE, surfaces[id])
            segmentation.InvokeEvent(segmentation.ContainedRepresentationNamesModified)
        finally:
            node.EndModify(was_modifying)
        _show(node.GetDisplayNode())
        self.close()

    def close(self) -> None:
        """Give up what is not finished; the filter that runs at the moment is told to stop."""
        if self._running is not None:
            self._running[1].abort()
        self._running = None

    def _begin(self) -> None:
        """Start on the next piece, unless one is being worked on."""
        pieces = self._pieces()
        self._built = {piece: self._built[piece] for piece in pieces if piece in self._built}
        piece = next((piece for piece in pieces if piece not in self._built), None)
        if piece is None or self._running is not None:
            return
        array = _array(piece.labelmap)
        boxes = self._boxes.get(piece.labelmap)
        if boxes is None or boxes.changed != piece.changed:
            boxes = self._boxes[piece.labelmap] = _Boxes(piece.changed, len(array))
        if boxes.fraction < 1.0:
            boxes.look_on(array)
            return
        box = boxes.around([label for _, label in piece.labels])
        if box is None:
            self._built[piece] = {id: vtk.vtkPolyData() for id, _ in piece.labels}
            return
        labelmap = _cut_out(piece.labelmap, array, box)
        if piece.settings.method == _FLYING_EDGES and not piece.settings.jointly:
            label = piece.labels[0][1]
            self._running = piece, _Conversion(_pipeline(labelmap, label, piece.settings))
        else:
            self._built[piece] = self._convert_by_slicer(labelmap, piece)

    def _convert_by_slicer(
        self, labelmap: slicer.vtkOrientedImageData, piece: _Piece
    ) -> dict[str, vtk.vtkPolyData]:
        content = slicer.vtkSegmentation()
        content.SetSourceRepresentationName(BINARY)
        content.CopyConversionParameters(self._checked_node().GetSegmentation())
        content.SetConversionParameter(_SMOOTHING, str(piece.settings.smoothing))
        content.SetConversionParameter(_DECIMATION, str(piece.settings.decimation))
        content.SetConversionParameter(_METHOD, piece.settings.method)
        for id, label in piece.labels:
            segment = slicer.vtkSegment()
            segment.SetLabelValue(label)
            segment.AddRepresentation(BINARY, labelmap)
            content.AddSegment(segment, id)
        content.CreateRepresentation(SURFACE)
        return {id: segment.GetRepresentation(SURFACE) for id, segment in named_segments(content)}

    def _keep_present(self) -> None:
        """Take over the surfaces that the node has."""
        segmentation = self._checked_node().GetSegmentation()
        if self._settings(segmentation) != _Settings.of(segmentation):
            return
        for piece in self._pieces():
            segments = [(id, segmentation.GetSegment(id)) for id, _ in piece.labels]
            present = {id: segment.GetRepresentation(SURFACE) for id, segment in segments}
            # Slicer drops outdated surfaces itself where it is told of an edit.
            if all(s is not None and s.GetMTime() > piece.changed for s in present.values()):
                self._built[piece] = present

    def _pieces(self) -> list[_Piece]:
        """What there is to build for the node as it is now."""
        segmentation = self._checked_node().GetSegmentation()
        if segmentation.GetSourceRepresentationName() == SURFACE:
            return []
        if segmentation.GetNumberOfSegments():
            check_labelmaps(segmentation)
        settings = self._settings(segmentation)
        groups: dict[object, list[tuple[str, int]]] = {}
        labelmaps: dict[object, slicer.vtkOrientedImageData] = {}
        for id, segment in named_segments(segmentation):
            labelmap = segment.GetRepresentation(BINARY)
            key = labelmap if settings.jointly else id
            labelmaps[key] = labelmap
            groups.setdefault(key, []).append((id, segment.GetLabelValue()))
        return [
            _Piece(labelmaps[key], labelmaps[key].GetMTime(), tuple(labels), settings)
            for key, labels in groups.items()
            if labelmaps[key] is not None
        ]

    def _settings(self, segmentation: slicer.vtkSegmentation) -> _Settings:
        settings = _Settings.of(segmentation)
        if self._smoothing is not None:
            settings = replace(settings, smoothing=self._smoothing)
        # Without smoothing there is nothing to do jointly.
        return replace(settings, jointly=settings.jointly and settings.smoothing > 0)

    def _checked_node(self) -> slicer.vtkMRMLSegmentationNode:
        node = self._node.Get()
        if node is None or node.GetScene() is None:
            raise InputError(
                "input.node_removed",
                "The segmentation was removed from the scene while its surfaces were built.",
            )
        return node


class _Conversion:
    """A pipeline of filters that runs in a thread, from now on.

    When the application quits, it is told to stop and waited for, but only for a moment: the
    filter that computes normals hardly listens.

    :param filters: the pipeline keeps no reference to those before the last.
    """

    def __init__(self, filters: Sequence[vtk.vtkPolyDataAlgorithm]) -> None:
        self._filters = filters
        self._aborted = False
        self._error: Exception | None = None
        self._ended = threading.Event()
        atexit.register(self._quit)
        threading.Thread(target=self._run, name="surfaces", daemon=True).start()

    def _run(self) -> None:
        # Python deletes them when it ends, which must not be while one of them runs.
        for filter in self._filters:
            filter.Register(None)
        try:
            for filter in self._filters:
                if self._aborted:
                    return
                filter.Update()
        except Exception as error:
            self._error = error
        finally:
            for filter in self._filters:
                filter.UnRegister(None)
            self._ended.set()
            atexit.unregister(self._quit)

    def _quit(self) -> None:
        self.abort()
        self.wait(_PATIENCE_AT_EXIT_S)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after waiting for it."""
        return self._ended.wait(seconds)  # not Thread.join(), see Job

    def result(self) -> vtk.vtkPolyData:
        """The surface, when it has ended.

        :raises Exception: what a filter raised.
        """
        if self._error is not None:
            raise self._error
        surface = vtk.vtkPolyData()
        surface.ShallowCopy(self._filters[-1].GetOutput())
        surface.GetPointData().RemoveArray("ImageScalars")  # would be shown instead of the color
        return surface

    def abort(self) -> None:
        """Have it end soon, without a result; does not wait."""
        self._aborted = True
        for filter in self._filters:
            filter.AbortExecuteOn()


def _show(display: slicer.vtkMRMLSegmentationDisplayNode) -> None:
    was_modifying = display.StartModify()
    display.SetPreferredDisplayRepresentationName3D(SURFACE)
    display.SetVisibility3D(True)
    display.EndModify(was_modifying)


def _array(labelmap: slicer.vtkOrientedImageData) -> np.ndarray:
    """A view of the voxels, (K, J, I); empty if there are none."""
    scalars = labelmap.GetPointData().GetScalars()
    if scalars is None or not labelmap.GetNumberOfPoints():
        return np.zeros((0, 0, 0), np.uint8)
    return vtk_to_numpy(scalars).reshape(labelmap.GetDimensions()[::-1])


def _cut_out(
    labelmap: slicer.vtkOrientedImageData, array: np.ndarray, box: _Box
) -> slicer.vtkOrientedImageData:
    """A copy of a part of a labelmap, at its place, with a margin of one voxel of background."""
    first, end = box
    part = np.zeros(end - first + 2, array.dtype)
    slices = tuple(slice(a, b) for a, b in zip(first, end, strict=True))
    part[1:-1, 1:-1, 1:-1] = array[slices]
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    # The same voxels keep the same indices: rounding then leads to the same surface.
    low = np.array(labelmap.GetExtent()[::2]) + first[::-1] - 1
    high = low + part.shape[::-1] - 1
    result = slicer.vtkOrientedImageData()
    result.SetExtent(*np.stack([low, high], axis=1).ravel().tolist())
    result.GetPointData().SetScalars(array_to_vtk(part))
    result.SetGeometryFromImageToWorldMatrix(matrix)
    return result


def _pipeline(
    labelmap: slicer.vtkOrientedImageData, label: int, settings: _Settings
) -> list[vtk.vtkPolyDataAlgorithm]:
    """What makes the surface that Slicer's converter makes, by filters that let other threads run.

    The converter itself holds Python's lock, so nobody else could do anything in the meantime.

    :param labelmap: with a margin of background.
    """
    voxels = vtk.vtkImageData()
    voxels.SetExtent(labelmap.GetExtent())
    voxels.GetPointData().SetScalars(labelmap.GetPointData().GetScalars())
    edges = vtk.vtkDiscreteFlyingEdges3D()
    edges.SetInputData(voxels)
    edges.ComputeGradientsOff()
    edges.ComputeNormalsOff()
    edges.SetValue(0, label)
    filters = [edges, *_filters(labelmap, settings)]
    for before, after in pairwise(filters):
        after.SetInputConnection(before.GetOutputPort())
    return filters


def _filters(
    labelmap: slicer.vtkOrientedImageData, settings: _Settings
) -> list[vtk.vtkPolyDataAlgorithm]:
    """What follows the extraction of a surface in voxel indices."""
    result = []
    if settings.decimation > 0:
        decimation = vtk.vtkDecimatePro()
        decimation.SetFeatureAngle(60)
        decimation.SplittingOff()
        decimation.PreserveTopologyOn()
        decimation.SetMaximumError(1)
        decimation.SetTargetReduction(settings.decimation)
        result.append(decimation)
    if settings.smoothing > 0:
        smoother = vtk.vtkWindowedSincPolyDataFilter()
        smoother.SetNumberOfIterations(int(20 + 40 * settings.smoothing))
        smoother.SetPassBand(10.0 ** (-4.0 * settings.smoothing))
        smoother.BoundarySmoothingOff()
        smoother.FeatureEdgeSmoothingOff()
        smoother.NonManifoldSmoothingOn()
        smoother.NormalizeCoordinatesOn()
        result.append(smoother)
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    to_place = vtk.vtkTransform()
    to_place.SetMatrix(matrix)
    placed = vtk.vtkTransformPolyDataFilter()
    placed.SetTransform(to_place)
    result.append(placed)
    if settings.normals:
        normals = vtk.vtkPolyDataNormals()
        normals.ConsistencyOn()
        normals.SplittingOff()
        result.append(normals)
    return result
