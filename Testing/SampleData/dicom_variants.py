"""Variants of a DICOM series, as scanners, archives and accidents make them.

``VARIANTS`` maps a name to a maker. It takes the slices of a good series (see
:func:`.dicom_series.made_slices` and :func:`.dicom_series.real_slices`), changes them, writes
files and tells what must come of them: the voxels and the place of each volume, what is refused
and why, what people are told.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image as Picture
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from .dicom_series import decimals, multiframe, pixels_of, save, set_pixels, truth, uid

Slices = list[Dataset]
Edit = Callable[[Slices], object]


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume that must be read.

    :param array: (K, J, I), HU or the scanner's units.
    :param ijk_to_ras: (4, 4), mm.
    :param images: number of its slices, which may be fewer than K.
    :param notices: codes of what people are told about it.
    :param modality: of the image.
    :param tolerance: how far values may be off, after lossy compression or interpolation.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    images: int
    notices: tuple[str, ...] = ()
    modality: str = "CT"
    tolerance: float = 0.0


@dataclass(frozen=True, eq=False)
class Expected:
    """What must come of a folder.

    :param volumes: those of all series, in order.
    :param refusals: codes, for what of the series cannot be used.
    :param series: number of image series.
    :param others: numbers of files that are no images, by modality; ``""`` are no DICOM.
    :param error: code of the error that ends the search.
    :param unreadable: code of the error that reading raises; the search may already refuse it.
    """

    volumes: tuple[Volume, ...] = ()
    refusals: tuple[str, ...] = ()
    series: int = 1
    others: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    unreadable: str = ""


Maker = Callable[[Slices, Path], Expected]


def volume_of(slices: Slices, *notices: str, tolerance: float = 0.0) -> Volume:
    """The volume of uncompressed slices."""
    array, matrix = truth(slices)
    modality = str(slices[0].Modality)
    if len(array) != len(slices):
        tolerance = max(tolerance, 0.51)  # interpolated values may be rounded
    return Volume(
        array,
        matrix,
        len(slices),
        notices,
        modality if modality in ("CT", "MR") else "",
        tolerance,
    )


def _good(*edits: Edit, notices: Sequence[str] = (), saved: Callable = save) -> Maker:
    """One volume of all slices."""

    def make(slices: Slices, folder: Path) -> Expected:
        _edit(slices, edits)
        saved(slices, folder)
        return Expected((volume_of(slices, *notices),))

    return make


def _refused(code: str, *edits: Edit, saved: Callable = save) -> Maker:
    """One series, of which nothing can be used."""

    def make(slices: Slices, folder: Path) -> Expected:
        _edit(slices, edits)
        saved(slices, folder)
        return Expected(refusals=(code,))

    return make


def _edit(slices: Slices, edits: Sequence[Edit]) -> None:
    with disable_value_validation():
        for edit in edits:
            edit(slices)


# ---- attributes -----------------------------------------------------------------------------


def _set(at: int | None = None, **values: object) -> Edit:
    """Other attributes of all slices or one; None takes them away."""

    def edit(slices: Slices) -> None:
        for ds in slices if at is None else [slices[at]]:
            for keyword, value in values.items():
                ds.pop(keyword, None)  # a new element is not checked, an old one is
                if value is not None:
                    setattr(ds, keyword, value)

    return edit


def _remove(*indices: int) -> Edit:
    def edit(slices: Slices) -> None:
        slices[:] = [ds for number, ds in enumerate(slices) if number not in indices]

    return edit


def _first(count: int) -> Edit:
    def edit(slices: Slices) -> None:
        del slices[count:]

    return edit


def as_mr(slices: Slices) -> None:
    """The stored values as those of an MR."""
    _set(Modality="MR", SOPClassUID=MRImageStorage, EchoTime=2.3, RepetitionTime=10)(slices)
    _set(KVP=None, RescaleSlope=None, RescaleIntercept=None, RescaleType=None)(slices)
    _set(ImageType=["ORIGINAL", "PRIMARY", "M"])(slices)


def _as_pet(slices: Slices) -> None:
    """Units of its own in every slice, as PET has them."""
    _set(Modality="PT", SOPClassUID=PositronEmissionTomographyImageStorage, Units="BQML")(slices)
    _set(KVP=None, RescaleType=None, RescaleIntercept=0)(slices)
    for number, ds in enumerate(slices):
        ds.RescaleSlope = 0.5 + 0.25 * number


# ---- places ---------------------------------------------------------------------------------


def _axes(ds: Dataset) -> np.ndarray:
    """(3, 3): row, column and normal as columns."""
    row, column = np.reshape(ds.ImageOrientationPatient, (2, 3)).astype(float)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _place(ds: Dataset) -> np.ndarray:
    return np.array(ds.ImagePositionPatient, float)


def turn(row: Sequence[float], column: Sequence[float], position: str = "HFS") -> Edit:
    """The patient lies otherwise: all slices turned together."""

    def edit(slices: Slices) -> None:
        axes = np.stack([row, column, np.cross(row, column)], axis=1)
        matrix = axes @ _axes(slices[0]).T
        for ds in slices:
            ds.ImagePositionPatient = decimals(matrix @ _place(ds))
            ds.ImageOrientationPatient = decimals([*row, *column])
            ds.PatientPosition = position

    return edit


def _tilt(degrees: float) -> Edit:
    """The gantry is tilted: slices lean, the table moves on as before."""

    def edit(slices: Slices) -> None:
        angle = np.radians(degrees)
        for ds in slices:
            row, column, normal = _axes(ds).T
            leant = np.cos(angle) * column + np.sin(angle) * normal
            ds.ImageOrientationPatient = decimals([*row, *leant])

    return edit


def _move(index: int, steps: float, aside_mm: float = 0.0) -> Edit:
    """A slice further on by a part of the distance between slices, and aside."""

    def edit(slices: Slices) -> None:
        step = _place(slices[1]) - _place(slices[0])
        aside = aside_mm * _axes(slices[index])[:, 0]
        slices[index].ImagePositionPatient = decimals(_place(slices[index]) + steps * step + aside)

    return edit


def _space(distance_mm: float) -> Edit:
    """Slices at another distance."""

    def edit(slices: Slices) -> None:
        start, step = _place(slices[0]), _place(slices[1]) - _place(slices[0])
        for number, ds in enumerate(slices):
            along = number * distance_mm * step / np.linalg.norm(step)
            ds.ImagePositionPatient = decimals(start + along)
            ds.SliceThickness = distance_mm

    return edit


def _round_cosines(slices: Slices) -> None:
    for ds in slices:
        ds.ImageOrientationPatient = [round(float(one), 3) for one in ds.ImageOrientationPatient]


def _jitter(slices: Slices) -> None:
    """Positions rounded so that distances differ by a thousandth."""
    for number in range(1, len(slices) - 1):
        _move(number, 5e-4 * (-1) ** number)(slices)


def _half_size(at: int) -> Edit:
    def edit(slices: Slices) -> None:
        set_pixels(slices[at], pixels_of(slices[at])[: slices[at].Rows // 2])

    return edit


# ---- several volumes ------------------------------------------------------------------------


def copies(slices: Slices, **values: object) -> Slices:
    """Other images at the same places: with other pixels and UIDs."""
    others = deepcopy(slices)
    for ds in others:
        ds.SOPInstanceUID = uid(ds.SOPInstanceUID, "copy")
        set_pixels(ds, np.roll(pixels_of(ds), 3, axis=1))
    _set(**values)(others)
    return others


def another_series(slices: Slices, **values: object) -> Slices:
    """A further series of the same patient and study."""
    series = {"SeriesInstanceUID": uid(slices[0].SeriesInstanceUID), "SeriesNumber": 9}
    return copies(slices, **{**series, **values})


def _phases(
    *values: Mapping[str, object], numbered: bool = False, before: Sequence[Edit] = ()
) -> Maker:
    """Volumes at the same places, told apart by these attributes, or by their numbers."""

    def make(slices: Slices, folder: Path) -> Expected:
        stacks = _stacks(slices, values, numbered, before)
        for number, stack in enumerate(stacks):
            save(stack, folder, f"{number}-")
        return Expected(tuple(volume_of(stack) for stack in stacks))

    return make


def _stacks(
    slices: Slices,
    values: Sequence[Mapping[str, object]],
    numbered: bool,
    before: Sequence[Edit],
) -> list[Slices]:
    _edit(slices, before)
    stacks = [slices]
    for _ in values[1:]:
        stacks.append(copies(stacks[-1]))
    for number, (stack, value) in enumerate(zip(stacks, values, strict=True)):
        _edit(stack, [_set(**value)])
        for index, ds in enumerate(stack):
            ds.InstanceNumber = index + 1 + (number * len(stack) if numbered else 0)
    return stacks


def _incomplete_phase(slices: Slices, folder: Path) -> Expected:
    second = copies(slices, AcquisitionNumber=2)
    _set(AcquisitionNumber=1)(slices)
    del second[3]
    save(slices, folder, "1-")
    save(second, folder, "2-")
    return Expected((volume_of(slices), volume_of(second, "input.resampled")))


def _between_each_other(slices: Slices, folder: Path) -> Expected:
    """The second phase lies half a distance further on."""
    second = copies(slices, AcquisitionNumber=2)
    _set(AcquisitionNumber=1)(slices)
    half = (_place(slices[1]) - _place(slices[0])) / 2
    for ds in second:
        ds.ImagePositionPatient = decimals(_place(ds) + half)
    save(slices, folder, "1-")
    save(second, folder, "2-")
    return Expected((volume_of(slices), volume_of(second)))


def _numbered_by_place(slices: Slices, folder: Path) -> Expected:
    """A beating heart: the phases of a place, then those of the next, at times of their own."""
    phases = _stacks(slices, ({}, {}, {}), False, [as_mr])
    for number, phase in enumerate(phases):
        for place, ds in enumerate(phase):
            ds.InstanceNumber = len(phases) * place + number + 1
            ds.TriggerTime = decimals([40 * number + 0.3 * place])[0]
        save(phase, folder, f"{number}-")
    return Expected(tuple(map(volume_of, phases)))


def _at_one_place(slices: Slices) -> None:
    """As images that watch the contrast agent arrive."""
    for ds in slices:
        ds.ImagePositionPatient = slices[0].ImagePositionPatient


def _beside_scouts(slices: Slices, folder: Path) -> Expected:
    """Two overviews that do not say what they are, in a series of their own."""
    save([*slices, *another_series(slices[:2])], folder)
    return Expected((volume_of(slices),), ("input.too_small",), series=2)


def _doubled_slice(slices: Slices, folder: Path) -> Expected:
    save([*slices, *copies(slices[2:3])], folder)
    return Expected(refusals=("input.series_geometry",))


def _copied_files(slices: Slices, folder: Path) -> Expected:
    save(slices, folder)
    save(slices, folder / "backup")
    return Expected((volume_of(slices),))


def _localizer(slices: Slices, folder: Path) -> Expected:
    scout = copies(slices[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    turn((1, 0, 0), (0, 0, -1))(scout)
    _half_size(0)(scout)
    save([*scout, *slices], folder)
    return Expected((volume_of(slices, "input.localizer"),))


def _mixed_orientation(count: int) -> Maker:
    """Some coronal slices in an axial series."""

    def make(slices: Slices, folder: Path) -> Expected:
        coronal = copies(slices[:count])
        turn((1, 0, 0), (0, 0, -1))(coronal)
        save([*slices, *coronal], folder)
        if count < 3:
            return Expected((volume_of(slices),), ("input.series_geometry",))
        return Expected((volume_of(slices), volume_of(coronal)))

    return make


def _odd_one(at: int, edit: Edit, *notices: str) -> Maker:
    """A slice that does not fit the others, which make a volume without it."""

    def make(slices: Slices, folder: Path) -> Expected:
        edit(slices)
        save(slices, folder)
        _remove(at % len(slices))(slices)
        return Expected((volume_of(slices, *notices),), ("input.series_geometry",))

    return make


def _two_series(**values: object) -> Maker:
    def make(slices: Slices, folder: Path) -> Expected:
        other = another_series(slices, **values)
        save([ds for pair in zip(slices, other, strict=True) for ds in pair], folder)
        return Expected((volume_of(slices), volume_of(other)), series=2)

    return make


def _copy_for_another_patient(slices: Slices, folder: Path) -> Expected:
    """Only the patient's identity was changed, and all UIDs were kept."""
    other = deepcopy(slices)
    _set(PatientID="anonymous", PatientName="")(other)
    save(slices, folder, "1-")
    save(other, folder, "2-")
    code = "input.repaired_uids"
    return Expected((volume_of(slices, code), volume_of(other, code)), series=2)


def _one_uid_two_patients(slices: Slices, folder: Path) -> Expected:
    other = copies(slices, PatientID="2", PatientName="Phantom^2", StudyInstanceUID=uid("B"))
    _set(SeriesNumber=9)(other)
    save(slices, folder, "1-")
    save(other, folder, "2-")
    code = "input.repaired_uids"
    return Expected((volume_of(slices, code), volume_of(other, code)), series=2)


# ---- other files ----------------------------------------------------------------------------


def _junk(folder: Path) -> int:
    """Files that are no DICOM; their number."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.txt").write_text("Nothing here.\n" * 100, "utf-8")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + bytes(2000))
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    return 4


def _dicomdir(folder: Path) -> None:
    ds = Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    ds.file_meta.MediaStorageSOPInstanceUID = uid("directory")
    ds.FileSetID, ds.DirectoryRecordSequence = "MADE", []
    ds.save_as(folder / "DICOMDIR", enforce_file_format=True)


def _beside_junk(slices: Slices, folder: Path) -> Expected:
    save(slices, folder)
    _dicomdir(folder)
    return Expected((volume_of(slices),), others={"": _junk(folder), "DICOMDIR": 1})


def _only_junk(slices: Slices, folder: Path) -> Expected:
    return Expected(series=0, others={"": _junk(folder)})


def _nothing(slices: Slices, folder: Path) -> Expected:
    return Expected(series=0)


_OBJECTS = {
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "SR": "1.2.840.10008.5.1.4.1.1.88.34",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
    "DOC": "1.2.840.10008.5.1.4.1.1.104.1",
}


def _object(ds: Dataset, modality: str) -> Dataset:
    """A file of the study that is no image: a segmentation, a report, contours, a PDF."""
    made = deepcopy(ds)
    _set(Rows=None, Columns=None, PixelData=None, BitsAllocated=None, BitsStored=None)([made])
    _set(ImagePositionPatient=None, ImageOrientationPatient=None, HighBit=None)([made])
    if modality == "SEG":
        made.Rows, made.Columns, made.NumberOfFrames = ds.Rows, ds.Columns, 1
        made.BitsAllocated = made.BitsStored = 1
        made.HighBit = 0
        made.PixelData = bytes(-(-ds.Rows * ds.Columns // 16) * 2)
        made["PixelData"].VR = "OB"
    made.Modality, made.SOPClassUID = modality, _OBJECTS[modality]
    made.SOPInstanceUID, made.SeriesInstanceUID = uid(modality), uid(modality, "series")
    return made


def _only_objects(slices: Slices, folder: Path) -> Expected:
    save([_object(slices[0], modality) for modality in _OBJECTS], folder)
    return Expected(series=0, others=dict.fromkeys(_OBJECTS, 1))


def _beside_objects(slices: Slices, folder: Path) -> Expected:
    objects = [_object(slices[0], modality) for modality in _OBJECTS]
    save([*objects, *slices], folder)
    return Expected((volume_of(slices),), others=dict.fromkeys(_OBJECTS, 1))


def _beside_report(slices: Slices, folder: Path) -> Expected:
    """A dose report as a picture, in a CT series of its own."""
    screen = another_series(slices[:1], SOPClassUID=SecondaryCaptureImageStorage)
    _set(ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None)(screen)
    _colour(screen)
    save([*slices, *screen], folder)
    return Expected((volume_of(slices),), ("input.modality",), series=2)


# ---- folders --------------------------------------------------------------------------------


def _apart(slices: Slices, folder: Path) -> None:
    """A folder for every file, names without suffix, as archives keep them."""
    for number, path in enumerate(save(slices, folder)):
        place = folder / f"{number:08X}"
        place.mkdir()
        path.rename(place / "00000001")


def _strangely_named(slices: Slices, folder: Path) -> None:
    save(slices, folder / "-rf $(x); 'Größe' 大", "-o ")


def _looped(slices: Slices, folder: Path) -> None:
    save(slices, folder / "series")
    (folder / "series" / "loop").symlink_to(folder, target_is_directory=True)


def _beside_pipe(slices: Slices, folder: Path) -> Expected:
    save(slices, folder)
    os.mkfifo(folder / "0000.dcm")
    return Expected((volume_of(slices),), others={"": 1})


def _too_deep(slices: Slices, folder: Path) -> Expected:
    save(slices, folder.joinpath(*["d"] * 40))
    return Expected(error="input.too_many_files")


# ---- how values are stored ------------------------------------------------------------------


def _signed(slices: Slices) -> None:
    """HU as they are, in 12 bits with a sign."""
    for ds in slices:
        values = pixels_of(ds).astype(int) + int(ds.RescaleIntercept)
        ds.PixelRepresentation, ds.RescaleIntercept = 1, 0
        set_pixels(ds, values)


def _unsigned(slices: Slices) -> None:
    """HU from -1024 on in 12 bits without a sign."""
    for ds in slices:
        values = pixels_of(ds).astype(int) + int(ds.RescaleIntercept) + 1024
        ds.PixelRepresentation, ds.RescaleIntercept, ds.BitsStored, ds.HighBit = 0, -1024, 12, 11
        set_pixels(ds, values.clip(0, 4095))


def _only_twelve_bits(slices: Slices, folder: Path) -> Expected:
    """The four highest bits are not those of the sign; they hold anything."""
    _signed(slices)
    expected = Expected((volume_of(slices),))
    for ds in slices:
        set_pixels(ds, (pixels_of(ds) & 0x0FFF) | 0x5000)
    save(slices, folder)
    return expected


def _eight_bits(slices: Slices) -> None:
    for ds in slices:
        values = pixels_of(ds) // 16
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.RescaleSlope = 8, 8, 7, 16
        set_pixels(ds, values)


def _colour(slices: Slices) -> None:
    for ds in slices:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = bytes(3 * ds.Rows * ds.Columns)
        ds["PixelData"].VR = "OB"


def _padded(value: int, fill: Callable[[np.ndarray], float], *edits: Edit) -> Maker:
    """A corner that no ray has measured, stored as a value that the header names."""

    def make(slices: Slices, folder: Path) -> Expected:
        _edit(slices, edits)
        corner = np.s_[: slices[0].Rows // 4, : slices[0].Columns // 4]
        for ds in slices:
            values = pixels_of(ds).copy()
            values[corner] = value
            set_pixels(ds, values)
            ds.PixelPaddingValue = value
            ds["PixelPaddingValue"].VR = "SS" if ds.PixelRepresentation else "US"
        volume = volume_of(slices)
        array = volume.array.copy()
        measured = np.ones(array.shape, bool)
        measured[(slice(None), *corner)] = False
        array[~measured] = fill(array[measured])
        save(slices, folder)
        return Expected((replace(volume, array=array),))

    return make


def _rescaled_apart(slices: Slices) -> None:
    for number, ds in enumerate(slices):
        ds.RescaleSlope, ds.RescaleIntercept = 1 + number % 2, -1024 - number


# ---- transfer syntaxes ----------------------------------------------------------------------


def _transferred(
    encode: Callable[[Dataset], None],
    *edits: Edit,
    notices: Sequence[str] = (),
    tolerance: float = 0.0,
) -> Maker:
    """The same images in another transfer syntax."""

    def make(slices: Slices, folder: Path) -> Expected:
        _edit(slices, edits)
        expected = Expected((volume_of(slices, *notices, tolerance=tolerance),))
        for ds in slices:
            encode(ds)
        save(slices, folder)
        return expected

    return make


def _as(syntax: str) -> Callable[[Dataset], None]:
    def encode(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = syntax

    return encode


def _big_endian(ds: Dataset) -> None:
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.PixelData = np.frombuffer(ds.PixelData, "<u2").byteswap().tobytes()


def compressed(syntax: str, **options: object) -> Callable[[Dataset], None]:
    """Compress by pydicom's encoders."""

    def encode(ds: Dataset) -> None:
        if syntax == RLELossless:
            options["encoding_plugin"] = "pydicom"
        ds.compress(syntax, generate_instance_uid=False, **options)

    return encode


def _fragmented(ds: Dataset) -> None:
    compressed(JPEG2000Lossless)(ds)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    ds.PixelData = encapsulate([frame], fragments_per_frame=3)


def _jpeg_lossless(ds: Dataset) -> None:
    """By SimpleITK, as pydicom has no encoder for it."""
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.dcm")
        writer.SetFileName(str(path))
        writer.Execute(sitk.GetImageFromArray(pixels_of(ds)[None]))
        (frame,) = generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)
    ds.BitsStored, ds.HighBit = 16, 15  # as the frame says
    _encapsulated(ds, frame, JPEGLosslessSV1)


def _jpeg_baseline(ds: Dataset) -> None:
    buffer = io.BytesIO()
    Picture.fromarray(pixels_of(ds)).save(buffer, "JPEG", quality=100)
    _encapsulated(ds, buffer.getvalue(), JPEGBaseline8Bit)
    _lossy(ds, "ISO_10918_1")


def _near_lossless(ds: Dataset) -> None:
    compressed(JPEGLSNearLossless, jls_error=2)(ds)
    _lossy(ds, "ISO_14495_1")


def _lossy(ds: Dataset, method: str) -> None:
    ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", 4
    ds.LossyImageCompressionMethod = method


def _encapsulated(ds: Dataset, frame: bytes, syntax: str) -> None:
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = syntax


def _unknown_syntax(syntax: str) -> Maker:
    def edit(slices: Slices) -> None:
        for ds in slices:
            _encapsulated(ds, b"\0\0\1\xb3" + bytes(200), MPEG2MPML)

    def saved(slices: Slices, folder: Path) -> None:
        """pydicom writes no syntax that it does not know: put in its name, padded as UIDs are."""
        for path in save(slices, folder):
            stated = MPEG2MPML.ljust(len(MPEG2MPML) + len(MPEG2MPML) % 2, "\0")
            other = syntax.ljust(len(stated), "\0")
            path.write_bytes(path.read_bytes().replace(stated.encode(), other.encode(), 1))

    return _refused("input.transfer_syntax", edit, saved=saved)


def _without_meta(slices: Slices, folder: Path) -> None:
    """Neither preamble nor meta header, implicit: as old archives export."""
    folder.mkdir(exist_ok=True)
    for number, ds in enumerate(slices):
        bare = deepcopy(ds)
        del bare.file_meta
        bare.preamble = None
        bare.save_as(folder / f"{number}.dcm", implicit_vr=True, little_endian=True)


# ---- damaged --------------------------------------------------------------------------------


def _truncated(part: float) -> Callable[[Slices, Path], None]:
    """Only a part of the third file is there."""

    def saved(slices: Slices, folder: Path) -> None:
        path = save(slices, folder)[2]
        content = path.read_bytes()
        path.write_bytes(content[: int(part * len(content))])

    return saved


def _cut_before_its_header(slices: Slices, folder: Path) -> Expected:
    """The last file ends within the part that says how the rest is written."""
    path = save(slices, folder)[-1]
    path.write_bytes(path.read_bytes()[:150])
    return Expected((volume_of(slices[:-1]),), ("input.damaged",), series=2)


def _cut_frame(syntax: str) -> Maker:
    """Half of a compressed image is missing, but the file is whole."""

    def make(slices: Slices, folder: Path) -> Expected:
        for ds in slices:
            compressed(syntax)(ds)
        (frame,) = generate_frames(slices[2].PixelData, number_of_frames=1)
        slices[2].PixelData = encapsulate([frame[: len(frame) // 2]])
        save(slices, folder)
        return Expected(unreadable="input.damaged")

    return make


# ---- UIDs -----------------------------------------------------------------------------------


def _without_uids(slices: Slices, folder: Path) -> None:
    """As the sample series of TotalSegmentator: only the meta header has UIDs."""
    for ds in slices:
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    empty = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    _set(**dict.fromkeys(empty, ""))(slices)
    save(slices, folder)


def _two_series_without_uids(slices: Slices, folder: Path) -> Expected:
    other = another_series(slices, SeriesDescription="Another")
    for number, stack in enumerate((slices, other)):
        _set(SeriesInstanceUID="", StudyInstanceUID="", SeriesNumber=number + 3)(stack)
    save([*slices, *other], folder)
    code = "input.repaired_uids"
    return Expected((volume_of(slices, code), volume_of(other, code)), series=2)


# ---- multi-frame ----------------------------------------------------------------------------


def _enhanced(
    *edits: Edit,
    notices: Sequence[str] = (),
    shared_rescale: bool = True,
    encode: Callable[[Dataset], None] | None = None,
) -> Maker:
    def make(slices: Slices, folder: Path) -> Expected:
        _edit(slices, edits)
        ds = multiframe(slices, shared_rescale)
        if encode:
            encode(ds)
        save([ds], folder)
        return Expected((volume_of(slices, *notices),))

    return make


def _enhanced_phases(*values: Mapping[str, object], before: Sequence[Edit] = ()) -> Maker:
    def make(slices: Slices, folder: Path) -> Expected:
        stacks = _stacks(slices, values, False, before)
        frames = [ds for place in zip(*stacks, strict=True) for ds in place]
        save([multiframe(frames)], folder)
        return Expected(tuple(volume_of(stack) for stack in stacks))

    return make


def _truncated_multiframe(slices: Slices, folder: Path) -> Expected:
    path = save([multiframe(slices)], folder)[0]
    path.write_bytes(path.read_bytes()[:-1000])
    return Expected(refusals=("input.damaged",))


def _frames_without_places(slices: Slices, folder: Path) -> Expected:
    ds = deepcopy(slices[0])
    ds.NumberOfFrames = len(slices)
    ds.pop("ImagePositionPatient")
    set_pixels(ds, np.stack([pixels_of(one) for one in slices]))
    save([ds], folder)
    return Expected(refusals=("input.multiframe",))


def _shuffled(slices: Slices) -> None:
    slices[:] = slices[::2] + slices[1::2][::-1]


# ---- the list -------------------------------------------------------------------------------

_STRAIGHTENED, _RESAMPLED = ("input.straightened",), ("input.resampled",)
_REPAIRED = ("input.repaired_uids",)

SECTIONS: dict[str, dict[str, Maker]] = {
    "Place in the patient": {
        "as it is": _good(),
        "prone": _good(turn((-1, 0, 0), (0, -1, 0), "HFP")),
        "decubitus": _good(turn((0, 1, 0), (-1, 0, 0), "HFDL")),
        "feet first": _good(turn((-1, 0, 0), (0, 1, 0), "FFS")),
        "coronal": _good(turn((1, 0, 0), (0, 0, -1))),
        "sagittal": _good(turn((0, 1, 0), (0, 0, -1))),
        "oblique": _good(turn((0.8, 0.6, 0), (-0.36, 0.48, -0.8))),
        "oblique, cosines of three digits": _good(
            turn((0.707107, 0.707107, 0), (-0.5, 0.5, -0.707107)), _round_cosines
        ),
        "slices in any order": _good(_shuffled),
        "gantry tilt of 15 degrees": _good(_tilt(15), notices=_STRAIGHTENED),
        "gantry tilt of -25 degrees": _good(_tilt(-25), notices=_STRAIGHTENED),
        "gantry tilt of 60 degrees": _refused("input.bad_geometry", _tilt(60)),
        "distances that differ by a thousandth": _good(_jitter),
        "a slice is missing": _good(_remove(3), notices=_RESAMPLED),
        "two slices are missing, apart": _good(_remove(2, 5), notices=_RESAMPLED),
        "a slice is missing, tilted": _good(
            _tilt(15), _remove(3), notices=(*_RESAMPLED, *_STRAIGHTENED)
        ),
        "two slices are missing, together": _refused("input.series_geometry", _remove(3, 4)),
        "the last distances are half as long again": _good(
            _move(-2, 0.5), _move(-1, 1.0), notices=_RESAMPLED
        ),
        "a slice is shifted aside": _refused("input.series_geometry", _move(2, 0, 5.0)),
        "slices 10 mm apart": _good(_space(10), notices=("input.coarse",)),
        "slices 500 mm apart": _refused("input.bad_geometry", _space(500)),
        "pixels of 0.001 mm": _refused("input.bad_geometry", _set(PixelSpacing=[0.001, 0.001])),
        "one slice": _refused("input.too_small", _first(1)),
        "two slices": _refused("input.too_small", _first(2)),
        "three slices": _good(_first(3)),
        "no position": _refused("input.series_geometry", _set(ImagePositionPatient=None)),
        "no position in one slice": _refused(
            "input.series_geometry", _set(3, ImagePositionPatient=None)
        ),
        "a position that is no number": _refused(
            "input.series_geometry", _set(3, ImagePositionPatient=["nan", "0", "0"])
        ),
        "no orientation": _refused("input.series_geometry", _set(ImageOrientationPatient=None)),
        "rows along columns": _refused(
            "input.series_geometry", _set(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
        ),
        "no pixel spacing": _refused("input.series_geometry", _set(PixelSpacing=None)),
        "pixel spacing of 0": _refused("input.series_geometry", _set(PixelSpacing=[0, 0])),
        "only ImagerPixelSpacing": _refused(
            "input.series_geometry", _set(PixelSpacing=None, ImagerPixelSpacing=[1, 1])
        ),
    },
    "Several volumes or series": {
        "two phases by AcquisitionNumber": _phases(
            {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}
        ),
        "three phases by TemporalPositionIdentifier": _phases(
            *({"TemporalPositionIdentifier": n} for n in (1, 2, 3))
        ),
        "three phases by TriggerTime": _phases(*({"TriggerTime": n} for n in (0, 250, 500))),
        "two echoes": _phases({"EchoTime": 2.3}, {"EchoTime": 4.6}, before=[as_mr]),
        "two phases by ContentTime": _phases({"ContentTime": "101213"}, {"ContentTime": "101313"}),
        "two phases by InstanceNumber": _phases({}, {}, numbered=True),
        "two phases, a slice of the second is missing": _incomplete_phase,
        "two phases, one half a distance further on": _between_each_other,
        "three phases, numbered place by place": _numbered_by_place,
        "two kinds of images with strange names": _phases(
            {"ImageType": ["DERIVED", "[/B]\33[31mX"]}, {"ImageType": ["ORIGINAL", "PRIMARY", "A"]}
        ),
        "images of one place": _refused("input.too_small", _at_one_place),
        "two scouts in a series of their own": _beside_scouts,
        "a second slice at one place": _doubled_slice,
        "all files twice": _copied_files,
        "a localizer in the series": _localizer,
        "a coronal slice in an axial series": _mixed_orientation(1),
        "four coronal slices in an axial series": _mixed_orientation(4),
        "the last slice has other rows": _odd_one(-1, _half_size(-1)),
        "a slice inside has other rows": _odd_one(3, _half_size(3), "input.resampled"),
        "a slice inside has other pixel spacing": _odd_one(
            3, _set(3, PixelSpacing=[1.1, 1.1]), "input.resampled"
        ),
        "two series": _two_series(),
        "two studies": _two_series(StudyInstanceUID=uid("B")),
        "two patients": _two_series(PatientID="2", StudyInstanceUID=uid("B")),
        "two patients with one SeriesInstanceUID": _one_uid_two_patients,
        "a copy for another patient": _copy_for_another_patient,
    },
    "Other files": {
        "empty folder": _nothing,
        "only other files": _only_junk,
        "other files and DICOMDIR beside": _beside_junk,
        "only SEG, SR, RTSTRUCT, PDF": _only_objects,
        "SEG, SR, RTSTRUCT, PDF beside": _beside_objects,
        "a dose report as a picture beside": _beside_report,
        "a folder per file, without suffix": _good(saved=_apart),
        "names with spaces, quotes, $( ), other letters": _good(saved=_strangely_named),
        "folders 40 deep": _too_deep,
    },
    "Kinds of images": {
        "MR": _good(as_mr),
        "PET": _good(_as_pet, notices=("input.rescale",)),
        **{
            f"modality {name}": _refused("input.modality", _set(Modality=name))
            for name in ("US", "NM", "MG", "XA", "DX", "OT")
        },
        "RGB": _refused("input.not_scalar", _colour),
        "palette": _refused("input.not_scalar", _set(PhotometricInterpretation="PALETTE COLOR")),
        "MONOCHROME1": _refused("input.not_scalar", _set(PhotometricInterpretation="MONOCHROME1")),
        "rescale differs": _good(_rescaled_apart, notices=("input.rescale",)),
        "slope 0.5": _good(_set(RescaleSlope=0.5)),
        "slope 0": _refused("input.series_geometry", _set(RescaleSlope=0)),
        "slope 1e30": _refused("input.series_geometry", _set(RescaleSlope="1e30")),
        "no rescale in a CT": _good(_set(RescaleSlope=None, RescaleIntercept=None)),
        "8 bits": _good(_eight_bits),
        "12 bits with sign": _good(_signed),
        "12 bits with sign, other bits above": _only_twelve_bits,
        "padding in a CT": _padded(-2000, lambda values: -1024, _signed),
        "padding in a CT, in bits that are not stored": _padded(
            63536, lambda values: -1024, _unsigned
        ),
        "padding in an MR": _padded(4095, np.min, as_mr),
        "nothing but air": _good(
            lambda slices: [set_pixels(s, 24 + 0 * pixels_of(s)) for s in slices]
        ),
    },
    "Transfer syntaxes": {
        "implicit": _transferred(_as(ImplicitVRLittleEndian)),
        "big endian": _transferred(_big_endian),
        "deflated": _transferred(_as(DeflatedExplicitVRLittleEndian)),
        "no preamble, no meta header": _good(saved=_without_meta),
        "RLE": _transferred(compressed(RLELossless)),
        "JPEG lossless": _transferred(_jpeg_lossless),
        "JPEG baseline, 8 bits": _transferred(
            _jpeg_baseline, _eight_bits, notices=("input.lossy",), tolerance=64
        ),
        "JPEG-LS": _transferred(compressed(JPEGLSLossless)),
        "JPEG-LS with sign": _transferred(compressed(JPEGLSLossless), _signed),
        "JPEG-LS near lossless": _transferred(
            _near_lossless, notices=("input.lossy",), tolerance=2
        ),
        "JPEG 2000": _transferred(compressed(JPEG2000Lossless)),
        "JPEG 2000 with sign": _transferred(compressed(JPEG2000Lossless), _signed),
        "JPEG 2000 in fragments": _transferred(_fragmented),
        "MPEG-2": _unknown_syntax(MPEG2MPML),
        "private": _unknown_syntax("1.3.46.670589.33.1.4.1"),
    },
    "Multi-frame": {
        "Enhanced CT": _enhanced(),
        "Enhanced CT, rescale per frame": _enhanced(
            _rescaled_apart, notices=("input.rescale",), shared_rescale=False
        ),
        "Enhanced CT, frames in any order": _enhanced(_shuffled),
        "Enhanced CT, tilted": _enhanced(_tilt(15), notices=_STRAIGHTENED),
        "Enhanced CT, a frame is missing": _enhanced(_remove(3), notices=_RESAMPLED),
        "Enhanced CT, JPEG 2000": _enhanced(encode=compressed(JPEG2000Lossless)),
        "Enhanced CT, RLE": _enhanced(encode=compressed(RLELossless)),
        "Enhanced CT, deflated": _enhanced(encode=_as(DeflatedExplicitVRLittleEndian)),
        "Enhanced CT, two time points": _enhanced_phases(
            {"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}
        ),
        "Enhanced MR, two echoes": _enhanced_phases(
            {"EchoTime": 2.3}, {"EchoTime": 4.6}, before=[as_mr]
        ),
        "Enhanced CT, truncated": _truncated_multiframe,
        "frames without places": _frames_without_places,
    },
    "Damaged or without identifiers": {
        "a truncated file": _refused("input.damaged", saved=_truncated(0.99)),
        "half of a file": _refused("input.damaged", saved=_truncated(0.5)),
        "a file of 150 bytes": _cut_before_its_header,
        "half of a JPEG 2000 image": _cut_frame(JPEG2000Lossless),
        "half of a JPEG-LS image": _cut_frame(JPEGLSLossless),
        "half of an RLE image": _cut_frame(RLELossless),
        "no UIDs": _good(saved=_without_uids, notices=_REPAIRED),
        "two series without UIDs": _two_series_without_uids,
        "a path as SeriesInstanceUID": _good(
            _set(SeriesInstanceUID="../../etc"), notices=_REPAIRED
        ),
        "200 characters as SeriesInstanceUID": _good(
            _set(SeriesInstanceUID="1" * 200), notices=_REPAIRED
        ),
        "NUL in SeriesInstanceUID": _good(_set(SeriesInstanceUID="1.2\0../x"), notices=_REPAIRED),
    },
}
"""Names to makers, by what they are about."""

if os.name != "nt":
    SECTIONS["Other files"]["a link to the folder in itself"] = _good(saved=_looped)
    SECTIONS["Other files"]["a pipe beside"] = _beside_pipe

VARIANTS = {name: maker for section in SECTIONS.values() for name, maker in section.items()}
