"""What all objects of an order have in common: the patient, the study, numbers, words and codes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VM
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM, format_number_as_ds

from ... import __version__
from ...catalog.terminology import Code
from ...errors import InputError
from ..attributes import UNREADABLE, items, text
from ..identifiers import stable_uid
from ..orders import Order, SegmentContent, Source

#: The equipment that makes the objects, as highdicom's classes take it.
EQUIPMENT = {
    "manufacturer": "slicer-totalsegmentator",
    "manufacturer_model_name": "TotalSegmentator for 3D Slicer",
    "software_versions": __version__,
    "device_serial_number": "1",  # must not be empty, and programs have none
}
UTF_8 = "ISO_IR 192"
#: What every object made by a demo model says.
DEMO = "DEMO MODEL"
_OWN_SCHEME = "99TSEG"
# Attributes that every object of a patient and a study has, if only empty.
_REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_OPTIONAL = (
    "IssuerOfPatientID",
    "PatientAge",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyDescription",
    # What the images were made with, which highdicom names as contributing equipment ...
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "InstitutionName",
    "StationName",
    # ... and what must be said of all that is derived from them.
    "PositionReferenceIndicator",
    "LossyImageCompression",
)
_OF_LOSSY = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
_DEIDENTIFICATION = "DeidentificationMethodCodeSequence"
_CODE = ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")
_LONGEST_TEXT = 1024  # of the value representation ST
_MOST_CHARACTERS = 64  # of the value representation LO, and of a code's meaning
# With two digits more it must fit into 32 bits.
_HIGHEST_NUMBER = 21_000_000


def source_dataset(source: Source) -> Dataset:
    """A small dataset that stands for the images where highdicom's classes want one.

    Patient, study and equipment are as in the images. What every object must have is there, empty
    if the images lack it or have a value that DICOM does not allow or nobody can read; other such
    values are left out. The place is that of the first slice, and stands where a file with one
    image has it. All text is UTF-8.

    :raises InputError: ``input.not_readable`` if the file of the header cannot be read any more.
    """
    dataset = Dataset()
    dataset.SpecificCharacterSet = UTF_8
    header = _header(source)
    lossy = _OF_LOSSY if _value(header, "LossyImageCompression") == "01" else ()
    for keyword in (*_REQUIRED, *_OPTIONAL, *lossy):
        value = _value(header, keyword)
        if value or keyword in _REQUIRED:
            setattr(dataset, keyword, value)
    deidentification = _deidentification(header)
    if deidentification:
        setattr(dataset, _DEIDENTIFICATION, deidentification)
    _add_place(dataset, source)
    return dataset


def _header(source: Source) -> Dataset:
    tags: list[Any] = [*_REQUIRED, *_OPTIONAL, *_OF_LOSSY, _DEIDENTIFICATION]
    try:
        return dcmread(source.header, stop_before_pixels=True, force=True, specific_tags=tags)
    except OSError as error:
        raise InputError(
            "input.not_readable",
            "The images of the series cannot be read any more.",
            "Leave them in place until everything is written.",
            type(error).__name__,
        ) from None  # it names a path


def _value(header: Dataset, keyword: str) -> str:
    """The text of an attribute; empty if there is none, or none that DICOM allows."""
    found = text([header], keyword)
    if found == UNREADABLE:
        return ""
    if dictionary_VM(keyword) == "1":
        found = found.replace("\\", " ")
    try:
        return _ALLOWED[keyword](found) if keyword in _ALLOWED else found
    except ValueError:
        return ""


def _date(found: str) -> str:
    """Old images have dots in dates, and colons in times."""
    date = found.replace(".", "")
    DA(date)
    return date


def _time(found: str) -> str:
    time = found.replace(":", "")
    TM(time)
    return time


def _ratios(found: str) -> str:
    return "\\".join(decimals(map(float, found.split("\\"))))


def _like(pattern: str) -> Callable[[str], str]:
    return lambda found: found if re.fullmatch(pattern, found) else ""


#: What becomes of values, or ValueError.
_ALLOWED: dict[str, Callable[[str], str]] = {
    "PatientBirthDate": _date,
    "PatientSex": _like("[MFO]"),
    "PatientAge": _like("[0-9]{3}[DWMY]"),
    "PatientIdentityRemoved": _like("YES|NO"),
    "StudyDate": _date,
    "StudyTime": _time,
    "LossyImageCompression": _like("00|01"),
    "LossyImageCompressionRatio": _ratios,
}


def _deidentification(header: Dataset) -> list[CodedConcept]:
    """The codes of how the patient's identity was removed.

    They are made anew: texts of a sequence that is copied would keep their character set.
    """
    try:
        codes = [
            [text([item], word) for word in _CODE] for item in items(header, _DEIDENTIFICATION)
        ]
        return [coded(Code(*code)) for code in codes if all(code) and UNREADABLE not in code]
    except Exception:  # pydicom raises what comes when it converts a damaged value
        return []


def _add_place(dataset: Dataset, source: Source) -> None:
    first = source.slices[0]
    dataset.SOPClassUID = first.sop_class
    dataset.SOPInstanceUID = first.sop_instance
    dataset.StudyInstanceUID = source.study_uid
    dataset.SeriesInstanceUID = source.series_uid
    dataset.FrameOfReferenceUID = source.frame_of_reference_uid
    dataset.Modality = source.modality
    dataset.Rows, dataset.Columns = source.rows, source.columns
    dataset.PixelSpacing = decimals(source.pixel_spacing)
    (spacing,) = decimals([source.slice_spacing])
    dataset.SliceThickness = dataset.SpacingBetweenSlices = spacing
    dataset.ImagePositionPatient = decimals(first.position)
    dataset.ImageOrientationPatient = decimals(first.orientation)


def decimals(values: Iterable[float]) -> list[str]:
    """Numbers as DICOM holds them in 16 characters, as exactly as they allow."""
    return [format_number_as_ds(float(value)) for value in values]


def plain(text: str, most: int = _MOST_CHARACTERS) -> str:
    """A text as a line of DICOM can hold it: without backslashes, which separate values there."""
    shown = (one if one.isprintable() and one != "\\" else " " for one in text)
    return " ".join("".join(shown).split())[:most].rstrip()


def series_number(order: Order, offset: int = 0) -> int:
    """A number for a series of objects by the rule of the Imaging Data Commons: a hundred times
    that of the images, and what sets their objects apart.

    From the 26th result of a series on, numbers come again; their UIDs tell objects apart.

    :param offset: what sets kinds of objects apart, a multiple of 25 below 100.
    """
    number = order.source.number or 0
    return 100 * (number if 0 < number <= _HIGHEST_NUMBER else 1) + offset + order.part


def series_description(order: Order, what: str) -> str:
    """E.g. ``TotalSegmentator(v2.18.0) Segmentation of Series 3``.

    :param what: kind of object, e.g. ``Segmentation``.
    """
    algorithm, number = order.algorithm, order.source.number
    words = [
        DEMO if algorithm.demo else "",
        algorithm.name + (f"(v{algorithm.version})" if algorithm.version else ""),
        what,
        "" if number is None else f"of Series {number}",
        f"({algorithm.task})" if order.part and algorithm.task else "",
    ]
    return plain(" ".join(words))


def tracking(order: Order, segment: SegmentContent) -> tuple[str, str]:
    """Tracking identifier and its UID: the same for the same images, task and structure, whenever
    and wherever they are written. What people drew gets a new UID every time."""
    name = f"{segment.task} {segment.id}".strip()
    if segment.made == "MANUAL":
        return name, generate_uid(prefix=None)
    return name, stable_uid(order.source.series_uid, segment.task, segment.id)


def description_of(order: Order, segment: SegmentContent) -> str:
    """E.g. ``TotalSegmentator 5 : liver``, as in the Imaging Data Commons; or empty."""
    if not segment.description or segment.made == "MANUAL":
        return plain(segment.description, _LONGEST_TEXT)
    return plain(f"{order.algorithm.name} {segment.description}", _LONGEST_TEXT)


def task_of(order: Order, segment: SegmentContent) -> str:
    """The task that made a segment, as the algorithm was asked for it, e.g. ``total (fast)``."""
    asked = order.algorithm.task.split(", ")
    known = (task for task in asked if task.split(" ")[0] == segment.task)
    return next(known, segment.task or order.algorithm.task)


def coded(code: Code) -> CodedConcept:
    """A code as an item of a code sequence."""
    return CodedConcept(code.value, code.scheme, plain(code.meaning) or code.value)


def coded_type(segment: SegmentContent) -> CodedConcept:
    """What a segment is, with its modifier as the standard nests it."""
    concept = coded(segment.type)
    if segment.type_modifier:
        concept.SegmentedPropertyTypeModifierCodeSequence = [coded(segment.type_modifier)]
    return concept


def coded_regions(segment: SegmentContent) -> list[CodedConcept]:
    """The items of the Anatomic Region Sequence of a segment: where it is, if that is coded."""
    if not segment.region:
        return []
    concept = coded(segment.region)
    if segment.region_modifier:
        concept.AnatomicRegionModifierSequence = [coded(segment.region_modifier)]
    return [concept]


def coding_schemes(order: Order) -> list[CodingSchemeIdentificationItem]:
    """The coding schemes of the order's segments that are not everybody's."""
    used = {code.scheme for one in order.segments for code in _codes(one) if code}
    if _OWN_SCHEME not in used:
        return []
    return [CodingSchemeIdentificationItem(_OWN_SCHEME, name="TotalSegmentator for 3D Slicer")]


def _codes(one: SegmentContent) -> tuple[Code | None, ...]:
    return one.category, one.type, one.type_modifier, one.region, one.region_modifier
