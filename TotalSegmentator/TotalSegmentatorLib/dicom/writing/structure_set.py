"""Structure sets (RTSTRUCT): the segments as contours on the images' slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from highdicom import SOPClass
from pydicom import DataElement, Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from ...catalog.terminology import ANATOMICAL_STRUCTURE
from ..orders import Order, SegmentContent, Source, SourceSlice
from .contours import outlines
from .template import (
    DEMO,
    EQUIPMENT,
    UTF_8,
    coded,
    coded_regions,
    coded_type,
    coding_schemes,
    decimals,
    description_of,
    plain,
    series_description,
    series_number,
    source_dataset,
    task_of,
)

# Between the numbers of segmentations and those of measurements.
_OFFSET = 25
_LONGEST_LABEL = 16  # of the value representation SH
# Retired, but the study has to be of some class, and everybody names this one.
_DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
# The 16 characters of a DICOM number hold this for places up to a million metres away.
_DECIMALS = 4

#: Layer and label -> the contours of a segment.
_Contours = Mapping[tuple[int, int], list[Dataset]]


def write_structure_set(
    order: Order, labels: Sequence[np.ndarray], path: Path, check: Callable[[], None]
) -> None:
    """Write the order's segments that have a voxel as one structure set.

    Contours are closed, planar and have no holes, see :mod:`.contours`. They lie on the original
    slices, in mm of the patient.

    :param labels: the arrays of the order's layers, (slices, rows, columns).
    :param check: called before every slice; raises what shall end the work.
    :raises InputError: see :func:`.template.source_dataset`.
    """
    contours = _contours(order.source, labels, check)
    found = (one for one in order.segments if (one.layer, one.label) in contours)
    segments = dict(enumerate(found, 1))
    document = _document(order)
    document.StructureSetROISequence = [_region(n, one, order) for n, one in segments.items()]
    document.ROIContourSequence = [
        _contours_of(n, one, contours[one.layer, one.label]) for n, one in segments.items()
    ]
    document.RTROIObservationsSequence = [_observation(n, one) for n, one in segments.items()]
    document.save_as(path)


def _document(order: Order) -> Dataset:
    """The structure set without its regions."""
    images = source_dataset(order.source)
    description = series_description(order, "Structures")
    document = SOPClass(
        study_instance_uid=order.source.study_uid,
        series_instance_uid=generate_uid(prefix=None),
        series_number=series_number(order, _OFFSET),
        series_description=description,
        sop_instance_uid=generate_uid(prefix=None),
        sop_class_uid=RTStructureSetStorage,
        instance_number=1,
        modality="RTSTRUCT",
        # With an explicit VR a contour's numbers could not take more than 64 kB.
        transfer_syntax_uid=ImplicitVRLittleEndian,
        specific_character_set=UTF_8,
        coding_schemes=coding_schemes(order) or None,
        **EQUIPMENT,
    )
    images.SOPClassUID = RTStructureSetStorage  # whose modules shall be copied
    document.copy_patient_and_study_information(images)
    document.OperatorsName = ""
    document.FrameOfReferenceUID = order.source.frame_of_reference_uid
    document.PositionReferenceIndicator = images.get("PositionReferenceIndicator", "")
    label = DEMO if order.algorithm.demo else order.algorithm.name
    document.StructureSetLabel = plain(label, _LONGEST_LABEL)
    document.StructureSetName = description
    document.StructureSetDate = document.InstanceCreationDate
    document.StructureSetTime = document.InstanceCreationTime
    document.ReferencedFrameOfReferenceSequence = [_frame_of_reference(order.source)]
    return document


def _frame_of_reference(source: Source) -> Dataset:
    """The images that the contours belong to."""
    series = Dataset()
    series.SeriesInstanceUID = source.series_uid
    series.ContourImageSequence = _references(source.slices)
    study = Dataset()
    study.ReferencedSOPClassUID = _DETACHED_STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = source.study_uid
    study.RTReferencedSeriesSequence = [series]
    frame_of_reference = Dataset()
    frame_of_reference.FrameOfReferenceUID = source.frame_of_reference_uid
    frame_of_reference.RTReferencedStudySequence = [study]
    return frame_of_reference


def _references(slices: Iterable[SourceSlice]) -> list[Dataset]:
    """References to images, each file once with its frames."""
    frames: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in slices:
        frames[one.sop_class, one.sop_instance].append(one.frame)
    items = []
    for (sop_class, sop_instance), numbers in frames.items():
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = sop_instance
        if all(numbers):
            item.ReferencedFrameNumber = numbers
        items.append(item)
    return items


def _contours(source: Source, labels: Sequence[np.ndarray], check: Callable[[], None]) -> _Contours:
    """The contours of all labels, from the first slice to the last."""
    contours: dict[tuple[int, int], list[Dataset]] = defaultdict(list)
    for k, one in enumerate(source.slices):
        check()
        image = DataElement("ContourImageSequence", "SQ", _references([one]))
        for layer, array in enumerate(labels):
            for label, polygons in outlines(array[k]):
                contours[layer, label] += [
                    _contour(_in_patient(polygon, one, source), image) for polygon in polygons
                ]
    return contours


def _in_patient(points: np.ndarray, one: SourceSlice, source: Source) -> np.ndarray:
    """Points of a slice, (points, 2) rows and columns, as (points, 3) LPS mm."""
    along_row, along_column = np.reshape(one.orientation, (2, 3))
    row_distance, column_distance = source.pixel_spacing
    rows, columns = points.T[..., None]
    return (
        np.array(one.position)
        + columns * column_distance * along_row
        + rows * row_distance * along_column
    )


def _contour(points: np.ndarray, image: DataElement) -> Dataset:
    contour = Dataset()
    contour.add(image)
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(points)
    # As a text, since pydicom would make an object of every number, and there are millions.
    numbers = (np.round(points, _DECIMALS) + 0.0).ravel().tolist()  # + 0.0: no "-0.0000"
    text = "\\".join([f"%.{_DECIMALS}f"] * len(numbers)) % tuple(numbers)
    contour.add(DataElement("ContourData", "DS", text, already_converted=True))
    return contour


def _region(number: int, segment: SegmentContent, order: Order) -> Dataset:
    """An item of the Structure Set ROI Sequence: what a region is called and made by."""
    region = Dataset()
    region.ROINumber = number
    region.ReferencedFrameOfReferenceUID = order.source.frame_of_reference_uid
    region.ROIName = plain(segment.name) or plain(segment.id)
    description = description_of(order, segment)
    if description:
        region.ROIDescription = description
    if segment.volume_ml is not None:
        (region.ROIVolume,) = decimals([segment.volume_ml])
    region.ROIGenerationAlgorithm = segment.made
    if segment.made != "MANUAL":
        algorithm, task = order.algorithm, task_of(order, segment)
        region.ROIGenerationDescription = plain(
            f"{DEMO if algorithm.demo else ''} {algorithm.name} {algorithm.version} {task}"
        )
    return region


def _contours_of(number: int, segment: SegmentContent, contours: list[Dataset]) -> Dataset:
    """An item of the ROI Contour Sequence."""
    for place, contour in enumerate(contours, 1):
        contour.ContourNumber = place
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(segment.color)
    item.ContourSequence = contours
    return item


def _observation(number: int, segment: SegmentContent) -> Dataset:
    """An item of the RT ROI Observations Sequence: what a region is, in codes."""
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.SegmentedPropertyCategoryCodeSequence = [coded(segment.category)]
    item.RTROIIdentificationCodeSequence = [coded_type(segment)]
    if segment.region:
        item.AnatomicRegionSequence = coded_regions(segment)
    is_anatomy = coded(segment.category) == coded(ANATOMICAL_STRUCTURE)
    item.RTROIInterpretedType = "ORGAN" if is_anatomy else ""
    item.ROIInterpreter = ""
    return item
