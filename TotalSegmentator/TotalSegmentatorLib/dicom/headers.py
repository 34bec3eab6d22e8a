"""What the headers of DICOM files say about the images in them; pixels are not read here."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import Tag

from ..errors import InputError, SegmentationError
from ..images.failures import damaged, file_errors
from .attributes import (
    UNREADABLE,
    Datasets,
    items,
    number,
    numbers,
    quiet_pydicom,
    raise_if_of_system,
    text,
    whole,
)
from .identifiers import stable_uid, valid_uid
from .pixels import PixelData, can_decode
from .volumes import Slice

UNKNOWN = "unknown"
"""The modality of a DICOM file that does not say it."""
_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: Images that can be segmented, by SOP class: classic, Enhanced, and Enhanced made of classic ones.
_MODALITIES = {
    **dict.fromkeys((_STORAGE + "2", _STORAGE + "2.1", _STORAGE + "2.2"), "CT"),
    **dict.fromkeys((_STORAGE + "4", _STORAGE + "4.1", _STORAGE + "4.4"), "MR"),
    **dict.fromkeys((_STORAGE + "128", _STORAGE + "130", _STORAGE + "128.1"), "PT"),
}
#: For files that do not name theirs.
_CLASSES = {"CT": _STORAGE + "2", "MR": _STORAGE + "4", "PT": _STORAGE + "128"}
_SECONDARY_CAPTURE = _STORAGE + "7"
_DIRECTORY = "1.2.840.10008.1.3.10"
#: Modalities of what has pixels, but shows no patient.
_NO_IMAGES = ("SEG", "RTDOSE")

#: What may set images at the same place apart: where it is said, in Enhanced images first, and how
#: it is called. Times are numbered: no time of day goes into names.
_APART = (
    (("FrameAcquisitionNumber", "AcquisitionNumber"), "acquisition {value}"),
    (("TemporalPositionIndex", "TemporalPositionIdentifier"), "time point {value}"),
    (("NominalCardiacTriggerDelayTime", "TriggerTime"), "trigger time {value} ms"),
    (("EffectiveEchoTime", "EchoTime"), "echo time {value} ms"),
    (("EchoNumbers",), "echo {value}"),
    (("DiffusionBValue",), "b value {value}"),
    (("FrameType", "ImageType"), "image type {value}"),
    (("AcquisitionTime",), "time {number}"),
    (("ContentTime",), "time {number}"),
)
APART_TITLES = (*(title for _, title in _APART), "dimension {value}")
"""How images are called that one of their values ``apart`` tells from others."""
_KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "FrameOfReferenceUID", "PatientID", "Modality", "SeriesNumber", "SeriesDescription",
    "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "RescaleSlope", "RescaleIntercept", "LossyImageCompression",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "DimensionIndexSequence", *(keyword for keywords, _ in _APART for keyword in keywords),
)  # fmt: skip
_TAGS = [Tag(keyword) for keyword in _KEYWORDS]
#: Indices of frames that only say where a frame lies: its position, or its number in a stack.
_PLACES = (Tag("ImagePositionPatient"), Tag("InStackPositionNumber"))
_PREFIX = b"DICM"
_FIRST_BYTES = (b"\2\0", b"\x08\0", b"\0\x08")  # groups 2 and 8, the latter in big endian too
_FARTHEST_MM = 1e6
_LARGEST_RESCALE = 1e6
_UNIT_TOLERANCE = 0.01
_EXPORT_AGAIN = "Export the series again from its source, whole and by itself."


@dataclass(frozen=True)
class ImageHeader:
    """What a file says about an image: all of the file, or a frame of it.

    :param image: where it lies; incomplete if the image is refused.
    :param made_up: whether its SOPInstanceUID had to be made up.
    :param patient: PatientID, only to keep patients apart.
    :param study_uid, series_uid, frame_of_reference_uid: empty if missing or no UIDs.
    :param modality, number, description: of its series.
    :param instance: InstanceNumber.
    :param localizer: whether it is an overview, to plan the scan on.
    :param lossy: whether it was compressed with losses.
    :param apart: what may set it apart from others at its place, see :data:`APART_TITLES`.
    :param refusal: why it cannot be segmented, or None.
    """

    image: Slice
    made_up: bool
    refusal: SegmentationError | None
    patient: str = ""
    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference_uid: str = ""
    modality: str = ""
    number: int | None = None
    description: str = ""
    instance: int = 0
    localizer: bool = False
    lossy: bool = False
    apart: tuple[str, ...] = ("",) * len(APART_TITLES)


def series_name(series_number: int | None) -> str:
    """What a series is called in messages: not by its description, which may name the patient."""
    return "The series" if series_number is None else f"Series {series_number}"


def counted(count: int, what: str) -> str:
    """A number of things, e.g. ``1 slice``, ``2 slices``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def bad_series(message: str, remedy: str = _EXPORT_AGAIN) -> InputError:
    """The error of a series whose images do not make a volume."""
    return InputError("input.series_geometry", message, remedy)


def attribute(path: Path, keyword: str) -> str:
    """The text of an attribute in a header, several values separated by a backslash.

    :param keyword: e.g. ``BodyPartExamined``.
    :return: empty if there is none, or it cannot be read.
    :raises InputError: ``input.not_found``, ``input.not_readable``.
    """
    with file_errors(path.name), quiet_pydicom():
        try:
            dataset = pydicom.dcmread(
                path, stop_before_pixels=True, force=True, specific_tags=[keyword]
            )
        except Exception as error:  # as in read_headers
            raise_if_of_system(error)
            return ""
    found = text([dataset], keyword)
    return "" if found == UNREADABLE else found


def read_headers(path: Path) -> tuple[str, tuple[ImageHeader, ...]]:
    """The modality of a file and its images.

    A file that is damaged or cannot be read counts as an image with a refusal, as it belongs to a
    series that is not whole without it.

    :return: the modality, empty if it is no DICOM file; the images, none if it holds something
        else.
    """
    try:
        with file_errors(path.name):
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                return "", ()
            with path.open("rb") as file:
                return _read(path, file)
    except InputError as error:
        return UNKNOWN, (_refused(path, error),)


def _read(path: Path, file: BinaryIO) -> tuple[str, tuple[ImageHeader, ...]]:
    head = file.read(132)
    has_prefix = head[128:] == _PREFIX
    if not has_prefix and head[:2] not in _FIRST_BYTES:
        return "", ()
    file.seek(0)
    pixels = PixelData()
    try:
        dataset = read_partial(file, pixels, force=True, specific_tags=_TAGS)
        if has_prefix or _is_dicom(dataset, pixels):
            found = _File(path, dataset)
            if not found.sop_class and found.modality == UNKNOWN and not pixels.found:
                return UNKNOWN, (_refused(path, damaged(path.name, "nothing says what it is")),)
            return _images(found, file, pixels)
    except Exception as error:  # pydicom raises whatever a damaged header leads it to
        raise_if_of_system(error)
        if has_prefix:
            return UNKNOWN, (_refused(path, damaged(path.name, type(error).__name__)),)
    return "", ()


def _refused(path: Path, error: SegmentationError) -> ImageHeader:
    image = Slice(path, 0, 1, "", stable_uid(path.name), 0, 0, (), (), (0.0, 0.0))
    return ImageHeader(image, made_up=True, refusal=error)


def _is_dicom(dataset: Dataset, pixels: PixelData) -> bool:
    """Whether what pydicom took for a header is one, in a file that does not begin as it should."""
    size = [whole([dataset], keyword) for keyword in ("Rows", "Columns")]
    return bool(valid_uid(text([dataset], "SOPClassUID")) or (all(size) and pixels.found))


class _File:
    """What the images of a file have in common."""

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.path = path
        self.dataset = dataset
        self.meta = dataset.file_meta
        self.sop_class = self.uid("SOPClassUID") or self.uid("MediaStorageSOPClassUID")
        self.modality = self._modality()
        self.rows = whole([dataset], "Rows") or 0
        self.columns = whole([dataset], "Columns") or 0
        self.frames = _frames(dataset)
        self.name = series_name(whole([dataset], "SeriesNumber"))

    def text(self, keyword: str) -> str:
        return text([self.dataset, self.meta], keyword)

    def uid(self, keyword: str) -> str:
        """A UID, empty if it is missing or none."""
        return valid_uid(self.text(keyword))

    def _modality(self) -> str:
        stated = self.text("Modality") or _MODALITIES.get(self.sop_class, "")
        return stated if stated.isalnum() else UNKNOWN


def _frames(dataset: Dataset) -> list[list[Dataset]]:
    """For every image, where its attributes are: in an Enhanced file in the groups of its frame,
    then in those that frames share, then in the file; else only there."""
    shared = [group for item in _items(dataset, "Shared") for group in _groups(item)]
    frames = _items(dataset, "PerFrame")
    return [[*_groups(frame), *shared, dataset] for frame in frames] or [[dataset]]


def _items(dataset: Dataset, which: str) -> list[Dataset]:
    return items(dataset, which + "FunctionalGroupsSequence")


def _groups(item: Dataset) -> list[Dataset]:
    """The functional groups of the standard; vendors' ones hold other values of the same names."""
    elements = [item[tag] for tag in sorted(item.keys()) if not tag.is_private]
    return [element.value[0] for element in elements if element.VR == "SQ" and element.value]


def _images(
    file: _File, stream: BinaryIO, pixels: PixelData
) -> tuple[str, tuple[ImageHeader, ...]]:
    if file.sop_class == _DIRECTORY:
        return "DICOMDIR", ()
    has_pixels = pixels.found and file.rows and file.columns
    is_image = has_pixels or file.sop_class in _MODALITIES
    if not is_image or file.modality in _NO_IMAGES:
        return file.modality, ()
    problem = _kind_problem(file) or _pixel_problem(file, stream, pixels)
    return file.modality, tuple(_header(file, n, problem) for n in range(len(file.frames)))


def _kind_problem(file: _File) -> InputError | None:
    """Why images of this kind cannot be segmented."""
    if file.modality not in _MODALITIES.values():
        return InputError(
            "input.modality",
            f"{file.name} is of modality {file.modality}, which cannot be segmented.",
            "Choose a CT or MR series.",
        )
    if file.sop_class == _SECONDARY_CAPTURE or file.sop_class.startswith(_SECONDARY_CAPTURE + "."):
        return InputError(
            "input.modality",
            f"{file.name} has screenshots (secondary captures), not measured images.",
            "Choose the original series.",
        )
    colours = file.text("PhotometricInterpretation") or "MONOCHROME2"
    if colours != "MONOCHROME2" or whole([file.dataset], "SamplesPerPixel") not in (1, None):
        return InputError(
            "input.not_scalar",
            f"{file.name} has colour or inverted images, not intensities.",
            "Choose the original series.",
        )
    if len(file.frames) != (whole([file.dataset], "NumberOfFrames") or 1):
        return InputError(
            "input.multiframe",
            f"{file.name} is a multi-frame file that does not say where each of its frames lies.",
            "Export the series as single images.",
        )
    return None


def _pixel_problem(file: _File, stream: BinaryIO, pixels: PixelData) -> InputError | None:
    """Why pixels cannot be read."""
    syntax = file.text("TransferSyntaxUID")
    if not can_decode(syntax):
        stated = valid_uid(syntax) or UNKNOWN
        return InputError(
            "input.transfer_syntax",
            f"{file.name} is compressed in a way that cannot be read here "
            f"(transfer syntax {stated}).",
            "Export it uncompressed.",
        )
    bits = whole([file.dataset], "BitsAllocated") or 0
    expected = file.rows * file.columns * len(file.frames) * bits // 8
    if not expected or not pixels.is_whole(stream, syntax, len(file.frames), expected):
        return damaged(file.path.name, "pixels are missing")
    return None


def _header(file: _File, index: int, problem: InputError | None) -> ImageHeader:
    frame = file.frames[index]
    spacing = numbers(frame, "PixelSpacing")
    sop_instance = file.uid("SOPInstanceUID") or file.uid("MediaStorageSOPInstanceUID")
    image = Slice(
        path=file.path,
        frame=index,
        frames=len(file.frames),
        sop_class=file.sop_class or _CLASSES.get(file.modality, ""),
        sop_instance=sop_instance or _made_up_instance(file),
        rows=file.rows,
        columns=file.columns,
        position=numbers(frame, "ImagePositionPatient"),
        orientation=numbers(frame, "ImageOrientationPatient"),
        pixel_spacing=(spacing[0], spacing[1]) if len(spacing) == 2 else (0.0, 0.0),
        slope=number(frame, "RescaleSlope", 1.0),
        intercept=number(frame, "RescaleIntercept", 0.0),
    )
    kinds = [file.text("ImageType"), text(frame, "FrameType")]
    return ImageHeader(
        image,
        made_up=not sop_instance,
        refusal=problem or _place_problem(image, file.name),
        patient=file.text("PatientID"),
        study_uid=file.uid("StudyInstanceUID"),
        series_uid=file.uid("SeriesInstanceUID"),
        frame_of_reference_uid=file.uid("FrameOfReferenceUID"),
        modality=file.modality,
        number=whole([file.dataset], "SeriesNumber"),
        description=file.text("SeriesDescription"),
        instance=whole([file.dataset], "InstanceNumber") or 0,
        localizer=any("LOCALIZER" in kind.upper().split("\\") for kind in kinds),
        lossy=file.text("LossyImageCompression") == "01",
        apart=_values_apart(frame),
    )


def _made_up_instance(file: _File) -> str:
    keywords = (
        "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber",
        "ImagePositionPatient", "ContentTime",
    )  # fmt: skip
    return stable_uid(file.path.name, *map(file.text, keywords))


def _values_apart(frame: Datasets) -> tuple[str, ...]:
    """What may set an image apart; indices of an Enhanced one without those of its place."""
    values = [
        next(filter(None, (text(frame, keyword) for keyword in keywords)), "")
        for keywords, _ in _APART
    ]
    pointers = [
        item.get("DimensionIndexPointer") for item in items(frame[-1], "DimensionIndexSequence")
    ]
    indices = zip(text(frame, "DimensionIndexValues").split("\\"), pointers, strict=False)
    return (*values, "-".join(index for index, pointer in indices if pointer not in _PLACES))


def _place_problem(image: Slice, name: str) -> InputError | None:
    """Why it is not known where an image lies, or what its values mean."""
    lengths = len(image.position), len(image.orientation), min(image.pixel_spacing) > 0
    stated = (*image.position, *image.orientation, *image.pixel_spacing)
    if lengths != (3, 6, True) or not all(abs(value) < _FARTHEST_MM for value in stated):
        return bad_series(f"{name} has images without position, orientation or spacing.")
    row, column = np.reshape(image.orientation, (2, 3))
    products = np.array([row @ row - 1, column @ column - 1, row @ column])
    if np.abs(products).max() > _UNIT_TOLERANCE:
        return bad_series(f"{name} has images whose rows and columns are not perpendicular.")
    if not 0 < abs(image.slope) < _LARGEST_RESCALE or not abs(image.intercept) < _LARGEST_RESCALE:
        return bad_series(f"{name} has images whose rescale slope or intercept cannot be right.")
    return None
