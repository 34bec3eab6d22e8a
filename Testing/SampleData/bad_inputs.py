"""Makers of bad inputs: each writes one into an empty folder and returns the path to give.

``BAD_INPUTS`` maps a name to (maker, the error's code); ``NOTICED_INPUTS`` to (maker, the
notice's code) of those that are accepted with a notice. The headers are written by hand, because
libraries refuse to write most of them.
"""

from __future__ import annotations

import gzip
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from TotalSegmentatorLib.images import (
    Image,
    Layer,
    SegmentRecord,
    write_nifti,
    write_segmentation,
)

from .phantoms import torso_ct, torso_labels

Maker = Callable[[Path], Path]

SHAPE = (6, 8, 10)  # (K, J, I)
_UNIT = " ".join(("1 0 0", "0 1 0", "0 0 1"))


# ---- NIfTI ----------------------------------------------------------------------------------


def nifti_bytes(*edits: tuple[str, int, tuple[float, ...]], image: Image | None = None) -> bytes:
    """A small NIfTI file, with header fields overwritten: (struct format, offset, values)."""
    content = bytearray(_plain_nifti(image or torso_ct(SHAPE)))
    for form, offset, values in edits:
        struct.pack_into(f"<{form}", content, offset, *values)
    return bytes(content)


def _plain_nifti(image: Image) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.nii")
        write_nifti(image, path)
        return path.read_bytes()


def _nifti(*edits: tuple[str, int, tuple[float, ...]], name: str = "image.nii") -> Maker:
    def maker(folder: Path) -> Path:
        return _written(folder / name, nifti_bytes(*edits))

    return maker


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _dim(*size: int) -> tuple[str, int, tuple[float, ...]]:
    return f"{len(size) + 1}h", 40, (len(size), *size)


def _srow(*rows: float) -> tuple[str, int, tuple[float, ...]]:
    return "12f", 280, rows


def missing_file(folder: Path) -> Path:
    return folder / "nothing.nii.gz"


def empty_file(folder: Path) -> Path:
    return _written(folder / "image.nii.gz", b"")


def text_file(folder: Path) -> Path:
    return _written(folder / "image.nii.gz", b"I am not an image.\n" * 100)


def gzipped_text(folder: Path) -> Path:
    return _written(folder / "image.nii.gz", gzip.compress(b"I am not an image.\n" * 100))


def png_file(folder: Path) -> Path:
    return _written(folder / "image.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 100)


def pipe(folder: Path) -> Path:
    """A FIFO: reading it would wait for ever (not on Windows)."""
    path = folder / "image.nii"
    os.mkfifo(path)
    return path


def gzip_truncated(folder: Path) -> Path:
    content = gzip.compress(nifti_bytes())
    return _written(folder / "image.nii.gz", content[: len(content) // 2])


def gzip_without_end(folder: Path) -> Path:
    """All voxels are there, but not the eight bytes with CRC and length."""
    return _written(folder / "image.nii.gz", gzip.compress(nifti_bytes())[:-8])


def gzip_flipped(folder: Path) -> Path:
    """A flipped bit that inflates without complaint: stored blocks, so only the CRC tells."""
    content = bytearray(gzip.compress(nifti_bytes(), 0))
    content[len(content) // 2] ^= 0x10
    return _written(folder / "image.nii.gz", bytes(content))


def plain_truncated(folder: Path) -> Path:
    content = nifti_bytes()
    return _written(folder / "image.nii", content[: len(content) // 2])


def header_truncated(folder: Path) -> Path:
    return _written(folder / "image.nii", nifti_bytes()[:348])


def huge_by_header(folder: Path) -> Path:
    return _written(folder / "image.nii.gz", gzip.compress(nifti_bytes(_dim(900, 900, 700))))


def rgb_nifti(folder: Path) -> Path:
    return _nifti(("2h", 70, (128, 24)))(folder)


def complex_nifti(folder: Path) -> Path:
    return _nifti(("2h", 70, (32, 64)))(folder)


def five_frames(folder: Path) -> Path:
    return _written(folder / "image.nii", nifti_bytes(_dim(10, 8, 6, 5)) + bytes(4 * 960))


def two_slices(folder: Path) -> Path:
    return _written(folder / "image.nii", nifti_bytes(image=torso_ct((2, 8, 10))))


def huge_spacing(folder: Path) -> Path:
    return _written(folder / "image.nii", nifti_bytes(image=torso_ct(SHAPE, (1.0, 1.0, 500.0))))


def tiny_spacing(folder: Path) -> Path:
    return _written(folder / "image.nii", nifti_bytes(image=torso_ct(SHAPE, (1.0, 1.0, 0.001))))


def too_long(folder: Path) -> Path:
    return _written(folder / "i.nii", nifti_bytes(image=torso_ct((100, 4, 4), (1.0, 1.0, 40.0))))


def sheared_nifti(shear_mm: float) -> Maker:
    """Slices 4 mm apart, each shifted along j; without qform, which cannot say that."""
    return _nifti(_srow(3, 0, 0, 0, 0, 3, shear_mm, 0, 0, 0, 4, 0), ("h", 252, (0,)))


def half_of_a_pair(folder: Path) -> Path:
    content = nifti_bytes().replace(b"n+1\0", b"ni1\0", 1)
    return _written(folder / "image.hdr", content[:348])


def no_finite_value(folder: Path) -> Path:
    image = torso_ct(SHAPE)
    nothing = Image(np.full(SHAPE, np.nan, np.float32), image.ijk_to_ras)
    return _written(folder / "image.nii", nifti_bytes(image=nothing))


def no_intensities(folder: Path) -> Path:
    image = torso_ct(SHAPE)
    huge = Image(image.array.astype(np.int64) * (1 << 40), image.ijk_to_ras)
    return _written(folder / "image.nii", nifti_bytes(image=huge))


# ---- NRRD and MetaImage ---------------------------------------------------------------------


def nrrd_bytes(data: bytes | None = None, **fields: str) -> bytes:
    """A small NRRD file; keywords replace or add fields (``space_directions`` with ``_``)."""
    values = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "10 8 6",
        "space directions": "(3,0,0) (0,3,0) (0,0,4)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(0,0,0)",
    } | {key.replace("_", " "): value for key, value in fields.items()}
    header = "NRRD0004\n" + "".join(f"{key}: {value}\n" for key, value in values.items()) + "\n"
    return header.encode() + (torso_ct(SHAPE).array.tobytes() if data is None else data)


def meta_bytes(data: bytes | None = None, **fields: str) -> bytes:
    """A small MetaImage file; keywords replace fields."""
    values = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "CompressedData": "False",
        "TransformMatrix": _UNIT,
        "Offset": "0 0 0",
        "ElementSpacing": "3 3 4",
        "DimSize": "10 8 6",
        "ElementType": "MET_SHORT",
    } | fields
    values["ElementDataFile"] = values.pop("ElementDataFile", "LOCAL")  # must be the last
    header = "".join(f"{key} = {value}\n" for key, value in values.items())
    return header.encode() + (torso_ct(SHAPE).array.tobytes() if data is None else data)


def _nrrd(name: str = "image.nrrd", data: bytes | None = None, **fields: str) -> Maker:
    return lambda folder: _written(folder / name, nrrd_bytes(data, **fields))


def _meta(name: str = "image.mha", data: bytes | None = None, **fields: str) -> Maker:
    return lambda folder: _written(folder / name, meta_bytes(data, **fields))


def _detached(content: Callable[[str], bytes], name: str, absolute: bool) -> Maker:
    """A header beside whose folder, not in it, the voxels lie."""

    def maker(folder: Path) -> Path:
        inner = folder / "inner"
        inner.mkdir()
        outside = _written(folder / "voxels.raw", torso_ct(SHAPE).array.tobytes())
        stated = str(outside) if absolute else "../voxels.raw"
        return _written(inner / name, content(stated))

    return maker


def _detached_nhdr(stated: str) -> bytes:
    return nrrd_bytes(b"", data_file=stated)


def _detached_mhd(stated: str) -> bytes:
    return meta_bytes(b"", ElementDataFile=stated)


def linked_data_file(folder: Path) -> Path:
    """The data file's name is in the folder, but it is a link to a file outside."""
    path = _detached(_detached_nhdr, "image.nhdr", absolute=False)(folder)
    (path.parent / "inside.raw").symlink_to(folder / "voxels.raw")
    return _written(path, _detached_nhdr("inside.raw"))


def nrrd_gzip_truncated(folder: Path) -> Path:
    content = gzip.compress(torso_ct(SHAPE).array.tobytes())
    return _nrrd(data=content[: len(content) // 2], encoding="gzip")(folder)


def meta_zlib_flipped(folder: Path) -> Path:
    """ITK reads such a file without an error and with hundreds of wrong voxels."""
    content = bytearray(zlib.compress(torso_ct(SHAPE).array.tobytes()))
    content[len(content) // 2] ^= 0xFF
    size = str(len(content))
    return _meta(data=bytes(content), CompressedData="True", CompressedDataSize=size)(folder)


def meta_zlib_truncated(folder: Path) -> Path:
    content = zlib.compress(torso_ct(SHAPE).array.tobytes())
    content = content[: len(content) // 2]
    size = str(len(content))
    return _meta(data=content, CompressedData="True", CompressedDataSize=size)(folder)


def segmentation_file(folder: Path) -> Path:
    labels, names = torso_labels(SHAPE)
    segments = [SegmentRecord(name, name, value, (255, 0, 0)) for value, name in names.items()]
    path = folder / "image.seg.nrrd"
    write_segmentation([Layer(labels, segments)], path, {})
    return path


# ---- DICOM ----------------------------------------------------------------------------------


def dicom_slice(index: int, series: str = "1.2.3", slope: float = 1.0) -> pydicom.Dataset:
    """The k-th axial slice of a small CT series, 4 mm apart, uncompressed."""
    pixels = torso_ct(SHAPE).array[index % SHAPE[0]] + 1024
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[series, str(index)]
    )
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2", series, "1.2.9"
    ds.PatientName, ds.PatientID, ds.Modality = "Phantom", "1", "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.InstanceNumber = index + 1
    ds.ImagePositionPatient = [-13.5, -10.5, 4.0 * index]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [3, 3], 4
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = slope, -1024
    ds.PixelData = pixels.astype("<i2").tobytes()
    return ds


def dicom_series(folder: Path, count: int = SHAPE[0], series: str = "1.2.3") -> list[Path]:
    """A good series of *count* slices as files."""
    return [_saved(dicom_slice(k, series), folder / f"{series}_{k}.dcm") for k in range(count)]


def _saved(ds: pydicom.Dataset, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


def _dicom(*edits: Callable[[list[pydicom.Dataset]], object]) -> Maker:
    """A series whose datasets are edited before they are saved."""

    def maker(folder: Path) -> Path:
        slices = [dicom_slice(k) for k in range(SHAPE[0])]
        for edit in edits:
            edit(slices)
        for number, ds in enumerate(slices):
            _saved(ds, folder / f"{number}.dcm")
        return folder

    return maker


def empty_folder(folder: Path) -> Path:
    return folder


def folder_without_dicom(folder: Path) -> Path:
    _written(folder / "notes.txt", b"nothing here")
    _written(folder / ".DS_Store", b"\0\0\0\1Bud1")
    return folder


def only_rtstruct(folder: Path) -> Path:
    ds = dicom_slice(0)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(ds, keyword)
    ds.Modality = "RTSTRUCT"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    _saved(ds, folder / "rtstruct.dcm")
    return folder


def only_seg(folder: Path) -> Path:
    for k in range(SHAPE[0]):
        ds = dicom_slice(k)
        ds.Modality = "SEG"
        _saved(ds, folder / f"{k}.dcm")
    return folder


def two_series(folder: Path) -> Path:
    dicom_series(folder)
    dicom_series(folder, series="1.2.4")
    return folder


def single_dicom_file(folder: Path) -> Path:
    return dicom_series(folder, 1)[0]


def two_dicom_slices(folder: Path) -> Path:
    dicom_series(folder, 2)
    return folder


def truncated_dicom_slice(folder: Path) -> Path:
    path = dicom_series(folder)[2]
    path.write_bytes(path.read_bytes()[:-60])
    return folder


def multiframe_dicom(folder: Path) -> Path:
    ds = dicom_slice(0)
    ds.NumberOfFrames = SHAPE[0]
    ds.PixelData = ds.PixelData * SHAPE[0]
    _saved(ds, folder / "all.dcm")
    return folder


def _colour(slices: list[pydicom.Dataset]) -> None:
    for ds in slices:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PixelData = bytes(3 * ds.Rows * ds.Columns)


def _lift(slices: list[pydicom.Dataset], index: int, height: float) -> None:
    slices[index].ImagePositionPatient[2] = height


def _remove_two(slices: list[pydicom.Dataset]) -> None:
    del slices[2:4]


def _tilt(slices: list[pydicom.Dataset]) -> None:
    """A gantry tilt of 15 degrees: slices turned about x, the table moves along z."""
    cosine, sine = float(np.cos(np.radians(15))), float(np.sin(np.radians(15)))
    for ds in slices:
        ds.ImageOrientationPatient = [1, 0, 0, 0, round(cosine, 6), round(-sine, 6)]


def _repeat(slices: list[pydicom.Dataset]) -> None:
    """A second phase at the same positions."""
    for ds in [dicom_slice(k) for k in range(SHAPE[0])]:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        slices.append(ds)


def _crop_last(slices: list[pydicom.Dataset]) -> None:
    slices[-1].Rows = 4
    slices[-1].PixelData = slices[-1].PixelData[: 4 * 10 * 2]


def _each(keyword: str, value: object = None) -> Callable[[list[pydicom.Dataset]], None]:
    def edit(slices: list[pydicom.Dataset]) -> None:
        for ds in slices:
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    return edit


def _turn_last(slices: list[pydicom.Dataset]) -> None:
    slices[-1].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def _shift_last(slices: list[pydicom.Dataset]) -> None:
    slices[2].ImagePositionPatient[0] += 5


def _localizer(slices: list[pydicom.Dataset]) -> None:
    scout = dicom_slice(0)
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    slices.append(scout)


# ---- accepted with a notice -----------------------------------------------------------------


def nonfinite_voxels(folder: Path) -> Path:
    """Two NaN and one infinite voxel."""
    image = torso_ct(SHAPE)
    array = image.array.astype(np.float32)
    array[0, 0, :2], array[1, 1, 1] = np.nan, np.inf
    return _written(folder / "image.nii", nifti_bytes(image=image.with_array(array)))


def coarse_slices(folder: Path) -> Path:
    return _written(folder / "image.nii", nifti_bytes(image=torso_ct(SHAPE, (1.0, 1.0, 10.0))))


BAD_INPUTS: dict[str, tuple[Maker, str]] = {
    "missing file": (missing_file, "input.not_found"),
    "empty file": (empty_file, "input.empty_file"),
    "text named .nii.gz": (text_file, "input.not_an_image"),
    "compressed text": (gzipped_text, "input.not_an_image"),
    "PNG": (png_file, "input.not_an_image"),
    "gzip truncated": (gzip_truncated, "input.truncated"),
    "gzip without end": (gzip_without_end, "input.truncated"),
    "gzip flipped bit": (gzip_flipped, "input.damaged"),
    "NIfTI truncated": (plain_truncated, "input.truncated"),
    "NIfTI header only": (header_truncated, "input.truncated"),
    "NIfTI huge by header": (huge_by_header, "input.truncated"),
    "NIfTI size 0": (_nifti(_dim(10, 0, 6)), "input.bad_geometry"),
    "NIfTI size -5": (_nifti(_dim(10, -5, 6)), "input.bad_geometry"),
    "NIfTI nine dimensions": (_nifti(("h", 40, (9,))), "input.damaged"),
    "NIfTI 2D": (_nifti(_dim(10, 8)), "input.not_3d"),
    "NIfTI five frames": (five_frames, "input.not_3d"),
    "NIfTI RGB": (rgb_nifti, "input.not_scalar"),
    "NIfTI complex": (complex_nifti, "input.not_scalar"),
    "NIfTI slope NaN": (_nifti(("2f", 112, (float("nan"), 0))), "input.bad_scaling"),
    "NIfTI matrix NaN": (
        _nifti(_srow(float("nan"), 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0)),
        "input.bad_geometry",
    ),
    "NIfTI matrix singular": (
        _nifti(_srow(3, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0)),
        "input.bad_geometry",
    ),
    "NIfTI sheared by 60 degrees": (sheared_nifti(7), "input.bad_geometry"),
    "NIfTI voxels begin at NaN": (_nifti(("f", 108, (float("nan"),))), "input.damaged"),
    "NIfTI voxels begin after the end": (_nifti(("f", 108, (1e6,))), "input.truncated"),
    "NIfTI half of a pair": (half_of_a_pair, "input.not_an_image"),
    "two slices": (two_slices, "input.too_small"),
    "spacing 500 mm": (huge_spacing, "input.bad_geometry"),
    "spacing 0.001 mm": (tiny_spacing, "input.bad_geometry"),
    "4 m long": (too_long, "input.bad_geometry"),
    "no finite voxel": (no_finite_value, "input.no_values"),
    "int64 beyond intensities": (no_intensities, "input.value_range"),
    "NRRD truncated": (_nrrd(data=bytes(100)), "input.truncated"),
    "NRRD gzip truncated": (nrrd_gzip_truncated, "input.damaged"),
    "NRRD huge by header": (_nrrd(sizes="32000 32000 32000"), "input.truncated"),
    "NRRD size 0": (_nrrd(sizes="10 0 6"), "input.bad_geometry"),
    "NRRD origin NaN": (_nrrd(space_origin="(nan,0,0)"), "input.bad_geometry"),
    "NRRD singular": (
        _nrrd(space_directions="(3,0,0) (0,3,0) (0,3,0)"),
        "input.bad_geometry",
    ),
    "NRRD sheared by 60 degrees": (
        _nrrd(space_directions="(3,0,0) (0,3,0) (0,7,4)"),
        "input.bad_geometry",
    ),
    "NRRD vectors": (
        _nrrd(
            dimension="4",
            sizes="3 10 8 2",
            kinds="vector domain domain domain",
            space_directions="none (3,0,0) (0,3,0) (0,0,4)",
        ),
        "input.not_scalar",
    ),
    "NRRD three volumes": (
        _nrrd(
            dimension="4",
            sizes="2 10 8 3",
            kinds="list domain domain domain",
            space_directions="none (3,0,0) (0,3,0) (0,0,4)",
        ),
        "input.not_3d",
    ),
    "NRRD data file outside": (
        _detached(_detached_nhdr, "image.nhdr", absolute=False),
        "input.outside_data",
    ),
    "NRRD data file absolute": (
        _detached(_detached_nhdr, "image.nhdr", absolute=True),
        "input.outside_data",
    ),
    "NRRD data file linked": (linked_data_file, "input.outside_data"),
    "NRRD data file missing": (_nrrd("image.nhdr", b"", data_file="no.raw"), "input.not_found"),
    "segmentation as image": (segmentation_file, "input.segmentation"),
    "MHA truncated": (_meta(data=bytes(100)), "input.truncated"),
    "MHA zlib flipped": (meta_zlib_flipped, "input.damaged"),
    "MHA zlib truncated": (meta_zlib_truncated, "input.truncated"),
    "MHA huge by header": (_meta(DimSize="32000 32000 32000"), "input.truncated"),
    "MHA size -5": (_meta(DimSize="10 -5 6"), "input.bad_geometry"),
    "MHA size 0": (_meta(DimSize="10 0 6"), "input.bad_geometry"),
    "MHA origin NaN": (_meta(Offset="nan 0 0"), "input.bad_geometry"),
    "MHA spacing 0": (_meta(ElementSpacing="0 3 4"), "input.bad_geometry"),
    "MHA singular": (_meta(TransformMatrix="1 0 0 0 1 0 0 1 0"), "input.bad_geometry"),
    "MHA three channels": (
        _meta(ElementNumberOfChannels="3", DimSize="10 8 2"),
        "input.not_scalar",
    ),
    "MHD data file outside": (
        _detached(_detached_mhd, "image.mhd", absolute=False),
        "input.outside_data",
    ),
    "MHD data file list": (_meta("image.mhd", b"", ElementDataFile="LIST"), "input.outside_data"),
    "empty folder": (empty_folder, "input.no_image"),
    "folder without DICOM": (folder_without_dicom, "input.no_image"),
    "folder with RTSTRUCT only": (only_rtstruct, "input.no_image"),
    "folder with SEG only": (only_seg, "input.no_image"),
    "two series": (two_series, "input.several_series"),
    "single DICOM file": (single_dicom_file, "input.dicom_file"),
    "two DICOM slices": (two_dicom_slices, "input.too_small"),
    "DICOM slice truncated": (truncated_dicom_slice, "input.damaged"),
    "DICOM two slices missing": (_dicom(_remove_two), "input.series_geometry"),
    "DICOM spacing very uneven": (_dicom(lambda s: _lift(s, 5, 29)), "input.series_geometry"),
    "DICOM two phases": (_dicom(_repeat), "input.series_geometry"),
    "DICOM mixed orientation": (_dicom(_turn_last), "input.series_geometry"),
    "DICOM slice shifted": (_dicom(_shift_last), "input.series_geometry"),
    "DICOM without position": (_dicom(_each("ImagePositionPatient")), "input.series_geometry"),
    "DICOM without spacing": (_dicom(_each("PixelSpacing")), "input.series_geometry"),
    "DICOM slope 0": (_dicom(_each("RescaleSlope", 0)), "input.series_geometry"),
    "DICOM other rows": (_dicom(_crop_last), "input.series_geometry"),
    "DICOM multi-frame": (multiframe_dicom, "input.multiframe"),
    "DICOM colour": (_dicom(_colour), "input.not_scalar"),
}
"""Name to (maker, code of the InputError that reading must raise)."""

if hasattr(os, "mkfifo"):
    BAD_INPUTS["pipe"] = (pipe, "input.not_a_file")

NOTICED_INPUTS: dict[str, tuple[Maker, str]] = {
    "NaN and Inf voxels": (nonfinite_voxels, "input.nonfinite"),
    "slices 10 mm apart": (coarse_slices, "input.coarse"),
    "sform and qform differ": (_nifti(("3f", 268, (100, 0, 0))), "input.sform_qform"),
    "NIfTI without orientation": (_nifti(("2h", 252, (0, 0))), "input.no_orientation"),
    "NRRD without orientation": (_nrrd(space="scanner-xyz"), "input.no_orientation"),
    "DICOM with localizer": (_dicom(_localizer), "input.localizer"),
    "DICOM gantry tilt": (_dicom(_tilt), "input.straightened"),
    "DICOM slice missing": (_dicom(lambda s: s.pop(2)), "input.resampled"),
    "DICOM spacing uneven": (_dicom(lambda s: _lift(s, 5, 21.5)), "input.resampled"),
    "NIfTI sheared": (sheared_nifti(1), "input.straightened"),
    "NRRD sheared": (
        _nrrd(space_directions="(3,0,0) (0,3,0) (0,1,4)"),
        "input.straightened",
    ),
    "MHA sheared": (_meta(TransformMatrix="1 0 0 0 1 0 0 0.3 1"), "input.straightened"),
}
"""Name to (maker, code of the notice that reading must give)."""
