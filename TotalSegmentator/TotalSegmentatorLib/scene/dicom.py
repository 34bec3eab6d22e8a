"""A segmentation of the scene on its way to DICOM, and Slicer's DICOM database.

:func:`take_for_dicom` looks at the scene, quickly, in the main thread, as
:func:`add_to_database` does at the end. What lies between knows nothing of the scene, so it may run
in a thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from .. import catalog
from ..catalog.terminology import ANATOMICAL_STRUCTURE, ANY_STRUCTURE, Code, parse_entry
from ..dicom.headers import attribute
from ..dicom.orders import SegmentContent
from ..dicom.series import find_series
from ..dicom.volumes import DicomVolume, Series
from ..errors import InputError
from ..images import Image, Layer, SegmentRecord
from ..images.layer import ID_TAG
from .exports import Labelmaps, take_labelmaps
from .nodes import named_segments, segment_tag
from .segmentations import ATTRIBUTE_PREFIX, DEMO, _own_attributes
from .volumes import volume_to_image

#: Where Slicer's DICOM plugins leave the UIDs of the images that a volume was loaded from.
INSTANCES = "DICOM.instanceUIDs"
_LONGEST_SCHEME = 16  # that DICOM has a place for
_NEEDED = {"requests", "versions", "demo"}  # of a report, to say what made a segment
_PART_OF_A_VOXEL = 0.01
_BY_COMMAND = "Use the command 'slicer-totalsegmentator dicom' for this series."
_REMEDY = "Load the series from Slicer's DICOM database, and segment that volume."


@dataclass(frozen=True)
class Origin:
    """Where a segment comes from.

    :param structure: its structure's id; empty for segments of people and of other modules.
    :param task: the task that found it; empty if that is not known.
    :param made: ``AUTOMATIC``, ``SEMIAUTOMATIC`` or ``MANUAL``, as DICOM has it.
    :param demo: whether a demo model found it.
    """

    structure: str
    task: str
    made: str
    demo: bool = False


@dataclass(frozen=True, eq=False)
class TakenForDicom:
    """What becomes DICOM of a segmentation, as it was taken from the scene.

    :param files: the images that the volume was loaded from.
    :param grid: that of the volume; its voxels do not matter.
    :param labelmaps: on that grid.
    :param origins: by segment id.
    :param report: as much of the last run's ``report.json`` as the node remembers; None if it
        remembers none.
    """

    files: tuple[Path, ...]
    grid: Image
    labelmaps: Labelmaps
    origins: Mapping[str, Origin]
    report: Mapping[str, Any] | None

    def find_volume(self, on_file: Callable[[int], None] | None = None) -> DicomVolume:
        """The slices that the volume's voxels are the pixels of.

        :param on_file: called with the number of files that were looked at.
        :raises InputError: ``output.dicom_files_gone``, ``output.not_from_dicom``,
            ``output.other_grid``, ``output.uneven_slices``, ``input.several_series``,
            ``input.several_volumes``, and what the reader of series refuses.
        """
        series = self._series(on_file)
        fitting = [volume for volume in series.volumes if self._lies_on(volume)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise InputError(
                "input.several_volumes",
                f"The DICOM files of the volume hold {len(fitting)} volumes at the same place.",
                _BY_COMMAND,
            )
        if any(len(volume.slices) != volume.shape[0] for volume in series.volumes):
            raise InputError(
                "output.uneven_slices",
                "The series lacks slices or has them at uneven distances, so the voxels of the "
                "volume are not the pixels of its images.",
                _BY_COMMAND,
            )
        raise InputError(
            "output.other_grid",
            "The voxels of the volume are not the pixels of its DICOM images any more: it was "
            "moved, cropped or resampled.",
            "Load the series again and segment that volume as it is, without hardening a "
            "transform on it.",
        )

    def _series(self, on_file: Callable[[int], None] | None) -> Series:
        gone = sum(not path.is_file() for path in self.files)
        if gone:
            raise InputError(
                "output.dicom_files_gone",
                f"DICOM files of the volume are missing: {gone} of {len(self.files)}.",
                "Import the series into Slicer's DICOM database again.",
            )
        found = find_series(self.files, on_file).series
        for series in found:
            if not series.volumes:
                raise series.refusals[0]
        if not found:
            raise _not_from_dicom("The files that the volume was loaded from hold no images.")
        if len(found) > 1:
            raise InputError(
                "input.several_series",
                f"The volume was made of {len(found)} DICOM series.",
                "Load one series, and segment that volume.",
            )
        return found[0]

    def _lies_on(self, volume: DicomVolume) -> bool:
        """Whether voxels and pixels are the same, by their number and by the first slice.

        Slicer stacks the slices of a tilted gantry straight up, so that only the first one is where
        it should be. Its voxels are the pixels all the same.
        """
        if self.grid.array.shape != volume.shape or len(volume.slices) != volume.shape[0]:
            return False
        to_pixels = np.linalg.inv(volume.ijk_to_ras) @ self.grid.ijk_to_ras
        width, height, _ = self.grid.shape_ijk
        corners = np.array([(i, j, 0, 1) for i in (0, width - 1) for j in (0, height - 1)]).T
        moved = np.abs(to_pixels @ corners - corners).max()
        return bool(moved < _PART_OF_A_VOXEL and to_pixels[2, 2] > 0)

    def on_slices_of(
        self, volume: DicomVolume
    ) -> tuple[tuple[Layer, ...], tuple[SegmentContent, ...]]:
        """Layers in the patient's coordinates, and what their segments become.

        :param volume: from :meth:`find_volume`.
        :raises InputError: see :meth:`.exports.Labelmaps.on_one_grid`.
        """
        to_patient = volume.ijk_to_ras @ np.linalg.inv(self.grid.ijk_to_ras)
        layers, contents = [], []
        for number, layer in enumerate(self.labelmaps.on_one_grid()):
            labels = replace(layer.labels, ijk_to_ras=to_patient @ layer.labels.ijk_to_ras)
            layers.append(replace(layer, labels=labels))
            contents += [_content(number, one, self.origins[one.id]) for one in layer.segments]
        return tuple(layers), tuple(contents)


def take_for_dicom(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> TakenForDicom:
    """Take a segmentation as it is now, with the list of the DICOM files that it belongs to.

    Both nodes may lie under transforms: a voxel of the volume stays the pixel that it was.

    :param volume_node: None for the volume that was segmented.
    :raises InputError: ``output.no_volume``, ``output.not_from_dicom``,
        ``output.no_dicom_database``; and those of :func:`~.volumes.volume_to_image` and
        :func:`~.exports.take_labelmaps`.
    """
    volume_node = volume_node or _reference_volume(segmentation_node)
    files = _image_files(volume_node)
    labelmaps = take_labelmaps(segmentation_node, volume_node)
    if not labelmaps.layers:
        raise InputError("output.empty", "There is no segment with voxels to save.")
    runs = _remembered_runs(segmentation_node)
    tasks = _tasks(runs)
    origins = {
        id: _origin(segment, tasks)
        for id, segment in named_segments(segmentation_node.GetSegmentation())
    }
    grid = replace(labelmaps.grid, ijk_to_ras=volume_to_image(volume_node).ijk_to_ras)
    return TakenForDicom(files, grid, labelmaps, origins, runs[0] if runs else None)


def dicom_database() -> Any:
    """Slicer's DICOM database, a ``ctkDICOMDatabase``.

    :raises InputError: ``output.no_dicom_database``.
    """
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        raise InputError(
            "output.no_dicom_database",
            "Slicer's DICOM database is not open.",
            "Open the module DICOM; it asks for a folder for its database.",
        )
    return database


def add_to_database(path: Path) -> str:
    """Copy a DICOM file into Slicer's database, as its own import does; nothing is loaded.

    :param path: alone in its folder.
    :return: the SeriesInstanceUID, by which Slicer finds it.
    :raises InputError: ``output.no_dicom_database``, ``output.not_imported``.
    """
    from DICOMLib import DICOMUtils  # not on slicer-core

    database = dicom_database()
    imported = DICOMUtils.importDicom(str(path.parent), database, True)
    if not imported or not database.fileForInstance(attribute(path, "SOPInstanceUID")):
        raise InputError(
            "output.not_imported",
            "Slicer's DICOM database did not take the segmentation.",
            "Look into Slicer's error log; the disk of the database may be full.",
        )
    return attribute(path, "SeriesInstanceUID")


def _not_from_dicom(message: str) -> InputError:
    return InputError("output.not_from_dicom", message, _REMEDY)


def _reference_volume(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLScalarVolumeNode:
    role = segmentation_node.GetReferenceImageGeometryReferenceRole()
    volume_node = segmentation_node.GetNodeReference(role)
    if volume_node is None:
        raise InputError(
            "output.no_volume",
            "The volume that the segmentation belongs to is not in the scene.",
            "Choose it as the source volume in the module Segment Editor.",
        )
    return volume_node


def _image_files(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple[Path, ...]:
    """The files of a volume's images; those that the database does not know are empty paths."""
    instances = (volume_node.GetAttribute(INSTANCES) or "").split()
    if not instances:
        raise _not_from_dicom("The volume was not loaded from DICOM.")
    database = dicom_database()
    return tuple(Path(database.fileForInstance(uid)) for uid in dict.fromkeys(instances))


def _remembered_runs(node: slicer.vtkMRMLSegmentationNode) -> list[dict[str, Any]]:
    """What the node's attributes say of the runs that made its segments, the last run first."""
    texts = {
        name.removeprefix(ATTRIBUTE_PREFIX): node.GetAttribute(name)
        for name in _own_attributes(node)
    }
    earlier = json.loads(texts.pop("earlier", "[]"))
    return [_report(one) for one in (texts, *reversed(earlier)) if one.keys() >= _NEEDED]


def _report(texts: Mapping[str, str]) -> dict[str, Any]:
    """As much of a report as :func:`~TotalSegmentatorLib.report.provenance_texts` has told."""
    provenance = {name: _value(text) for name, text in texts.items()}
    requests = provenance.pop("requests")
    runs = [{"request": request, "provenance": provenance} for request in requests]
    return {"runs": runs, "provenance": provenance}


def _value(text: str) -> Any:
    """What is no JSON was a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tasks(runs: Iterable[Mapping[str, Any]]) -> list[catalog.Task]:
    """The tasks of runs, those of the last run first; without those of other versions."""
    known = {task.id: task for task in catalog.tasks()}
    names = [run["request"]["task"] for report in runs for run in report["runs"]]
    return [known[name] for name in dict.fromkeys(names) if name in known]


def _origin(segment: slicer.vtkSegment, tasks: Iterable[catalog.Task]) -> Origin:
    structure = segment_tag(segment, ID_TAG)
    if not structure:
        return Origin("", "", "MANUAL")
    task = next((task.id for task in tasks if structure in task.labels.values()), "")
    # Slicer's editor notes that it was here; scripts and other modules do not.
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    edited = logic.GetSegmentStatus(segment) != logic.NotStarted
    made = "SEMIAUTOMATIC" if edited else "AUTOMATIC"
    return Origin(structure, task, made, segment_tag(segment, DEMO) == "true")


def _content(layer: int, record: SegmentRecord, origin: Origin) -> SegmentContent:
    category, type_, *others = map(_writable, parse_entry(record.terminology))
    return SegmentContent(
        layer,
        record.label,
        record.id,
        record.name or record.id,
        category or ANATOMICAL_STRUCTURE,
        type_ or ANY_STRUCTURE,
        *others,
        description=_description(origin),
        color=record.color,
        task=origin.task,
        made=origin.made,
        demo=origin.demo,
    )


def _description(origin: Origin) -> str:
    """The task's label and class name."""
    if not origin.task:
        return origin.structure
    labels = catalog.task(origin.task).labels
    label = next(label for label, name in labels.items() if name == origin.structure)
    return f"{label} : {origin.structure}"


def _writable(code: Code | None) -> Code | None:
    """A code, unless its scheme is of people's own and has a name that DICOM cannot hold."""
    return code if code is not None and len(code.scheme) <= _LONGEST_SCHEME else None
