"""DICOM series made of arrays: small, of known place; and the truth about any series.

:func:`write_series` writes CT or MR images, a file per slice; :func:`multiframe` puts slices into
one image; :func:`orientations` lists how a series can lie in the patient. Places are in LPS mm, as
in DICOM. The same arguments give the same files, UIDs too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import DSfloat
from scipy.spatial.transform import Rotation

from .phantoms import torso_ct

Vector = tuple[float, ...]

SHAPE = (8, 36, 44)
"""(slices, rows, columns) of :func:`made_slices`."""
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_EVEN = 0.01  # of a distance between slices


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a series lie.

    :param row, column: directions along a row (towards the next column) and along a column.
    :param spacing: distance of rows, of columns and of slices in mm.
    :param origin: centre of the first pixel of the first slice.
    :param lean_mm: how far a slice is shifted along its columns against the one before, as by a
        tilted gantry.
    """

    row: Vector = (1.0, 0.0, 0.0)
    column: Vector = (0.0, 1.0, 0.0)
    spacing: tuple[float, float, float] = (2.0, 1.5, 4.0)
    origin: Vector = (-80.5, -60.25, -500.0)
    lean_mm: float = 0.0

    def position(self, k: int) -> np.ndarray:
        """(3,) centre of the first pixel of a slice."""
        step = self.spacing[2] * np.cross(self.row, self.column)
        return self.origin + k * (step + self.lean_mm * np.asarray(self.column))

    @property
    def ijk_to_ras(self) -> np.ndarray:
        """(4, 4), mm."""
        matrix = np.eye(4)
        matrix[:3, 0] = np.multiply(self.row, self.spacing[1])
        matrix[:3, 1] = np.multiply(self.column, self.spacing[0])
        matrix[:3, 2] = self.position(1) - self.position(0)
        matrix[:3, 3] = self.origin
        return _LPS_TO_RAS @ matrix


@dataclass(frozen=True)
class Orientation:
    """A way in which a series lies in the patient.

    :param shape: (slices, rows, columns).
    """

    name: str
    grid: Grid
    shape: tuple[int, int, int]


def orientations() -> tuple[Orientation, ...]:
    """The twelve ways that writers of segmentations are compared on."""
    wide, square = (7, 20, 26), (7, 22, 22)
    return (
        _orientation("supine", (1, 0, 0), (0, 1, 0), wide),
        _orientation("negated column", (1, 0, 0), (0, -1, 0), wide),
        _orientation("prone", (-1, 0, 0), (0, -1, 0), wide),
        _orientation("negated row", (-1, 0, 0), (0, 1, 0), wide),
        _orientation("90 degrees in plane", (0, 1, 0), (-1, 0, 0), wide),
        _orientation("coronal", (1, 0, 0), (0, 0, -1), wide),
        _orientation("coronal, square", (1, 0, 0), (0, 0, -1), square),
        _orientation("sagittal", (0, 1, 0), (0, 0, -1), wide),
        _orientation("sagittal, square", (0, 1, 0), (0, 0, -1), square),
        _orientation("reversed coronal", (-1, 0, 0), (0, 0, 1), wide),
        _orientation("oblique by 10 degrees", *_turned(10), wide),
        _orientation("oblique by 35 degrees", *_turned(35), wide),
    )


def random_orientations(count: int, seed: int = 0) -> tuple[Orientation, ...]:
    """Turned by anything, anywhere, with any spacing and shape; every fourth one leans."""
    rng = np.random.default_rng(seed)
    return tuple(_random_orientation(rng, number) for number in range(count))


def _orientation(
    name: str, row: Sequence[float], column: Sequence[float], shape: tuple[int, int, int]
) -> Orientation:
    return Orientation(name, Grid(tuple(map(float, row)), tuple(map(float, column))), shape)


def _turned(degrees: float) -> tuple[Vector, Vector]:
    """Row and column of an axial slice turned about an axis that is none of the patient's."""
    axis = np.array([2.0, 1.0, 2.0]) / 3.0
    matrix = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()
    return tuple(matrix[:, 0].tolist()), tuple(matrix[:, 1].tolist())


def _random_orientation(rng: np.random.Generator, number: int) -> Orientation:
    matrix = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    row_spacing, column_spacing, distance = rng.uniform(0.5, 5.0, 3).round(4).tolist()
    grid = Grid(
        tuple(matrix[:, 0].tolist()),
        tuple(matrix[:, 1].tolist()),
        (row_spacing, column_spacing, distance),
        tuple(rng.uniform(-500, 500, 3).round(3).tolist()),
        lean_mm=float(rng.uniform(-0.4, 0.4)) * distance if number % 4 == 3 else 0.0,
    )
    slices, rows, columns = rng.integers((3, 8, 8), (9, 25, 25)).tolist()
    return Orientation(f"random {number + 1}", grid, (slices, rows, columns))


# ---- slices ---------------------------------------------------------------------------------


def uid(*words: object) -> str:
    """The UID of some words: always the same."""
    return str(generate_uid(entropy_srcs=["totalsegmentator tests", *map(str, words)]))


def decimals(values: Sequence[float]) -> list[DSfloat]:
    """Numbers as headers hold them: at most 16 characters."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def slices_of(
    array: np.ndarray,
    grid: Grid | None = None,
    *,
    modality: str = "CT",
    patient: str = "1",
    study: str = "A",
    series: int = 3,
    **attributes: object,
) -> list[Dataset]:
    """CT or MR images, uncompressed, with all that the standard asks for.

    :param array: (slices, rows, columns), whole numbers: HU from -1024 to 3071, or MR values from
        0 to 4095.
    :param patient, study: what UIDs and IDs are made of.
    :param series: SeriesNumber; another number is another series.
    :param attributes: further attributes of all of them by keyword, e.g. ``EchoTime=4.6``.
    """
    grid = grid or Grid()
    return [
        _slice(pixels, k, grid, modality, (patient, study, series), attributes)
        for k, pixels in enumerate(array)
    ]


def _slice(
    pixels: np.ndarray,
    k: int,
    grid: Grid,
    modality: str,
    names: tuple[str, str, int],
    attributes: Mapping[str, object],
) -> Dataset:
    ds = Dataset()
    _describe(ds, names)
    if modality == "CT":
        ds.SOPClassUID, ds.KVP = CTImageStorage, 120
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    else:
        ds.SOPClassUID, ds.MRAcquisitionType, ds.EchoTrainLength = MRImageStorage, "3D", 1
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "GR", "NONE", None
        ds.RepetitionTime, ds.EchoTime = 10, 2.3
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.Modality = modality
    ds.SOPInstanceUID = uid(*names, k)
    ds.InstanceNumber, ds.AcquisitionNumber = k + 1, 1
    ds.ImagePositionPatient = decimals(grid.position(k))
    ds.ImageOrientationPatient = decimals([*grid.row, *grid.column])
    ds.PixelSpacing, ds.SliceThickness = decimals(grid.spacing[:2]), grid.spacing[2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    set_pixels(ds, pixels - int(ds.get("RescaleIntercept", 0)))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def _describe(ds: Dataset, names: tuple[str, str, int]) -> None:
    """Patient, study, series, frame of reference and equipment."""
    patient, study, number = names
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = f"Phantom^{patient}", patient, "19700102"
    ds.PatientSex, ds.PatientPosition = "O", "HFS"
    ds.StudyInstanceUID, ds.StudyID = uid(patient, study), study
    ds.StudyDate, ds.StudyTime = "20200102", "101112"
    ds.AccessionNumber, ds.ReferringPhysicianName = "", ""
    ds.SeriesInstanceUID, ds.SeriesNumber = uid(*names), number
    ds.SeriesDescription, ds.BodyPartExamined = f"Made series {number}", "ABDOMEN"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid(patient, study, "frame"), ""
    ds.ContentDate, ds.ContentTime = "20200102", "101213"
    ds.Manufacturer = "TotalSegmentator tests"


def set_pixels(ds: Dataset, pixels: np.ndarray) -> None:
    """Other stored values: (rows, columns), or (frames, rows, columns)."""
    ds.Rows, ds.Columns = pixels.shape[-2:]
    kind = "i" if ds.PixelRepresentation else "u"
    data = pixels.astype(f"<{kind}{ds.BitsAllocated // 8}").tobytes()
    ds.PixelData = data + bytes(len(data) % 2)
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"


def pixels_of(ds: Dataset) -> np.ndarray:
    """Stored values (rows, columns) of an uncompressed image."""
    kind = "i" if ds.PixelRepresentation else "u"
    values = np.frombuffer(ds.PixelData, f"<{kind}{ds.BitsAllocated // 8}", ds.Rows * ds.Columns)
    return values.reshape(ds.Rows, ds.Columns)


def made_slices(**attributes: Any) -> list[Dataset]:
    """A small torso as CT with pixels that are not square; as :func:`slices_of` takes them."""
    return slices_of(torso_ct(SHAPE).array.clip(-1024), **attributes)


def real_slices(paths: Sequence[Path]) -> list[Dataset]:
    """The slices of files (see :mod:`.dicom_ct`), uncompressed and with UIDs: a good series."""
    return [_real_slice(dcmread(path)) for path in paths]


def _real_slice(read: Dataset) -> Dataset:
    read.decompress(generate_instance_uid=False)
    ds = Dataset(read)  # what was read from a file cannot be written in big endian
    ds.file_meta = read.file_meta
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("real", "study"), uid("real", "series")
    ds.SeriesNumber, ds.PatientID, ds.PatientName = 3, "real", "Real^Sample"
    return ds


def save(slices: Sequence[Dataset], folder: Path, prefix: str = "") -> list[Path]:
    """Write datasets as files, whatever their values are; *folder* is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{prefix}{number:04}.dcm" for number in range(1, len(slices) + 1)]
    with disable_value_validation():
        for path, ds in zip(paths, slices, strict=True):
            ds.save_as(path, enforce_file_format=True)
    return paths


def write_series(
    folder: Path, array: np.ndarray, grid: Grid | None = None, **options: Any
) -> list[Path]:
    """Write a series; its options are those of :func:`slices_of`.

    :return: the files in the order of the slices.
    """
    return save(slices_of(array, grid, **options), folder)


# ---- multi-frame ----------------------------------------------------------------------------

_OF_A_SLICE = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "EchoTime",
    "TemporalPositionIdentifier",
)


# Index of a frame, the group that it is in, and the attribute of a slice that it comes from.
_DIMENSIONS = (
    ("TemporalPositionIndex", "FrameContentSequence", "TemporalPositionIdentifier"),
    ("EffectiveEchoTime", "MREchoSequence", "EchoTime"),
    ("InStackPositionNumber", "FrameContentSequence", "ImagePositionPatient"),
)


def multiframe(slices: Sequence[Dataset], shared_rescale: bool = True) -> Dataset:
    """Enhanced CT or MR with a frame per slice, in their order.

    It has what tells where frames lie and what values mean, not all that the standard asks for.

    :param shared_rescale: say slope and intercept once for all frames, that is those of the first.
    """
    first = slices[0]
    ds = Dataset()
    ds.update({e.tag: copy(e) for e in first if e.keyword not in _OF_A_SLICE})
    enhanced = {"CT": EnhancedCTImageStorage, "MR": EnhancedMRImageStorage}
    ds.SOPClassUID = enhanced[first.Modality]
    ds.SOPInstanceUID = uid(first.SOPInstanceUID, "frames")
    ds.NumberOfFrames, ds.InstanceNumber = len(slices), 1
    set_pixels(ds, np.stack([pixels_of(one) for one in slices]))
    organization = uid(first.SOPInstanceUID, "dimensions")
    ds.DimensionOrganizationSequence = [_of(DimensionOrganizationUID=organization)]
    ds.DimensionIndexSequence = [
        _of(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=Tag(index),
            FunctionalGroupPointer=Tag(group),
        )
        for index, group, attribute in _DIMENSIONS
        if attribute in first
    ]
    ds.SharedFunctionalGroupsSequence = [_shared_groups(first, shared_rescale)]
    ds.PerFrameFunctionalGroupsSequence = [
        _frame_groups(one, index, shared_rescale)
        for one, index in zip(slices, _indices(slices), strict=True)
    ]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _of(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _indices(slices: Sequence[Dataset]) -> list[tuple[int, ...]]:
    """For every slice, its index in each of the dimensions, from 1."""
    normal = np.cross(*np.reshape(slices[0].ImageOrientationPatient, (2, 3)).astype(float))
    ranks = []
    for _, _, attribute in _DIMENSIONS:
        if attribute not in slices[0]:
            continue
        values = [np.array(ds[attribute].value, float) for ds in slices]
        heights = [round(float(v @ normal if v.ndim else v), 3) for v in values]
        ranks.append([sorted(set(heights)).index(height) + 1 for height in heights])
    return list(zip(*ranks, strict=True))


def _shared_groups(first: Dataset, shared_rescale: bool) -> Dataset:
    groups = _of(
        PixelMeasuresSequence=[
            _of(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
        ],
        PlaneOrientationSequence=[_of(ImageOrientationPatient=first.ImageOrientationPatient)],
    )
    frame_type = [_of(FrameType=[*first.ImageType[:2], "VOLUME", "NONE"])]
    setattr(groups, f"{first.Modality}ImageFrameTypeSequence", frame_type)
    if shared_rescale:
        groups.PixelValueTransformationSequence = [_rescale(first)]
    return groups


def _rescale(ds: Dataset) -> Dataset:
    slope, intercept = ds.get("RescaleSlope", 1), ds.get("RescaleIntercept", 0)
    kind = "HU" if ds.Modality == "CT" else "US"
    return _of(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType=kind)


def _frame_groups(ds: Dataset, index: tuple[int, ...], shared_rescale: bool) -> Dataset:
    content = _of(StackID="1", InStackPositionNumber=index[-1], DimensionIndexValues=list(index))
    if "TemporalPositionIdentifier" in ds:
        content.TemporalPositionIndex = index[0]
    groups = _of(
        FrameContentSequence=[content],
        PlanePositionSequence=[_of(ImagePositionPatient=ds.ImagePositionPatient)],
    )
    if "EchoTime" in ds:
        groups.MREchoSequence = [_of(EffectiveEchoTime=float(ds.EchoTime))]
    if not shared_rescale:
        groups.PixelValueTransformationSequence = [_rescale(ds)]
    return groups


# ---- truth ----------------------------------------------------------------------------------


def truth(slices: Sequence[Dataset]) -> tuple[np.ndarray, np.ndarray]:
    """What a reader must make of uncompressed slices.

    Slices at uneven distances are put on a grid with their smallest distance, by linear
    interpolation between neighbours.

    :param slices: in any order, all of one orientation and at places that differ.
    :return: (K, J, I) float64 in HU or the scanner's units, in the order of the normal, and
        ijk_to_ras (4, 4).
    """
    first = slices[0]
    row, column = np.reshape(first.ImageOrientationPatient, (2, 3)).astype(float)
    normal = np.cross(row, column)
    positions = np.array([ds.ImagePositionPatient for ds in slices], float)
    order = np.argsort(positions @ normal)
    positions = positions[order]
    values = np.stack([_values(slices[index]) for index in order])
    heights = (positions - positions[0]) @ normal
    count = len(slices)
    gaps = np.diff(heights)
    if np.ptp(gaps) > _EVEN * gaps.min():
        count = round(heights[-1] / gaps.min()) + 1
        values = _interpolated(values, heights, np.linspace(0, heights[-1], count))
    row_spacing, column_spacing = map(float, first.PixelSpacing)
    matrix = np.eye(4)
    matrix[:3, 0] = column_spacing * row / np.linalg.norm(row)
    matrix[:3, 1] = row_spacing * column / np.linalg.norm(column)
    matrix[:3, 2] = (positions[-1] - positions[0]) / (count - 1)
    matrix[:3, 3] = positions[0]
    return values, _LPS_TO_RAS @ matrix


def _values(ds: Dataset) -> np.ndarray:
    slope, intercept = ds.get("RescaleSlope", 1), ds.get("RescaleIntercept", 0)
    return pixels_of(ds) * float(slope) + float(intercept)


def _interpolated(values: np.ndarray, heights: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    above = np.searchsorted(heights, wanted).clip(1, len(heights) - 1)
    part = (wanted - heights[above - 1]) / (heights[above] - heights[above - 1])
    part = part[:, None, None]
    return values[above - 1] * (1 - part) + values[above] * part
